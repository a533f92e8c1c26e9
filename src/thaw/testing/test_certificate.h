// SPDX-License-Identifier: Apache-2.0
//
// A self-signed certificate for tests of TLS, made by the openssl command line.
#pragma once

#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// Files in the directory that was given. The certificate is its own authority: a client that is to
/// trust it takes certificate_file as its CA file.
struct TestCertificate {
  std::string certificate_file;
  std::string key_file;
  std::string certificate_pem;
  std::string key_pem;
};

/// For 127.0.0.1, localhost and *.localhost, of one day; P-256. kNotFound without openssl.
Result<TestCertificate> make_test_certificate(const std::string& directory,
                                              const std::string& name = "server");

}  // namespace thaw
