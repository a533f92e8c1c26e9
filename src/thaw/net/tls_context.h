// SPDX-License-Identifier: Apache-2.0
//
// TlsContext: whom our TLS connections trust and who they say they are. TLS 1.2 and later, by
// OpenSSL.
#pragma once

#include <memory>
#include <string>

#include "thaw/base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace thaw {

struct TlsOptions {
  std::string ca_file;      // PEM; the only authorities that are trusted
  std::string cert_file;    // PEM, with its chain; empty: we show no certificate
  std::string key_file;     // PEM; with cert_file
  std::string server_name;  // what the server's certificate must name; empty: the host connected to

  /// kInvalid for a missing ca_file, or a certificate without its key.
  Result<void> validate() const;
};

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
using SslPointer = std::unique_ptr<ssl_st, SslFree>;

/// Immutable; connections of any thread may be made from it.
class TlsContext {
 public:
  /// Reads the files. kInvalid names the one that does not serve.
  static Result<std::shared_ptr<const TlsContext>> create(const TlsOptions& options);

  /// A client's connection state for a connected, non-blocking socket, which stays the caller's.
  /// The peer must prove `host` (a name or an address), unless the options name another.
  Result<SslPointer> connection(int socket, const std::string& host) const;

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  TlsContext(std::unique_ptr<ssl_ctx_st, Free> context, std::string server_name)
      : context_(std::move(context)), server_name_(std::move(server_name)) {}

  const std::unique_ptr<ssl_ctx_st, Free> context_;
  const std::string server_name_;
};

/// The oldest error in this thread's OpenSSL queue as text, which is emptied.
std::string tls_error_text();

}  // namespace thaw
