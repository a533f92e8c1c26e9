// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/test_certificate.h"

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/child_process.h"

namespace thaw {
namespace {
constexpr uint64_t kPemBytesMax = 64 << 10;
}

Result<TestCertificate> make_test_certificate(const std::string& directory,
                                              const std::string& name) {
  TestCertificate made;
  made.certificate_file = directory + "/" + name + ".crt";
  made.key_file = directory + "/" + name + ".key";
  TRY(run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                   "/CN=thaw test " + name, "-addext",
                   "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost", "-keyout",
                   made.key_file, "-out", made.certificate_file}));
  ASSIGN_OR_RETURN(const Bytes certificate, read_file(made.certificate_file, kPemBytesMax));
  ASSIGN_OR_RETURN(const Bytes key, read_file(made.key_file, kPemBytesMax));
  made.certificate_pem = as_text(certificate);
  made.key_pem = as_text(key);
  return made;
}

}  // namespace thaw
