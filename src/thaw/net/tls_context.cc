// SPDX-License-Identifier: Apache-2.0
//
// The connection's bytes pass through a BIO of our own, because OpenSSL's writes with write(2), and
// that raises SIGPIPE when the peer has gone; a library must not change the process's signals.
#include "thaw/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "thaw/net/socket_address.h"

namespace thaw {
namespace {

constexpr size_t kReadAheadBytes = 64 * 1024;

int socket_of(BIO* bio) {
  // SAFETY: set by make_bio(); a descriptor stored as a pointer's value.
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

int bio_write(BIO* bio, const char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent =
      ::send(socket_of(bio), data, static_cast<size_t>(bytes), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = ::recv(socket_of(bio), data, static_cast<size_t>(bytes), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

long bio_control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;  // nothing is kept back
}

BIO_METHOD* make_socket_method() {
  BIO_METHOD* const method =
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_ctrl(method, bio_control);
  return method;
}

/// One for the process: OpenSSL gives out a limited number of types.
BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = make_socket_method();
  return method;
}

BIO* make_bio(int socket) {
  BIO_METHOD* const method = socket_method();
  BIO* const bio = method == nullptr ? nullptr : BIO_new(method);
  if (bio == nullptr) return nullptr;
  // SAFETY: never dereferenced; socket_of() takes the number back.
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket)));
  BIO_set_init(bio, 1);
  return bio;
}

tl::unexpected<Error> fail_tls(ErrorCode code, const std::string& what) {
  return fail(code, what + ": " + tls_error_text());
}

}  // namespace

std::string tls_error_text() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "no reason given";
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

void SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }
void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<void> TlsOptions::validate() const {
  if (ca_file.empty()) {
    return fail(ErrorCode::kInvalid,
                "TLS needs the file of the authorities to trust: give ca_file");
  }
  if (cert_file.empty() != key_file.empty()) {
    return fail(ErrorCode::kInvalid, "a TLS certificate and its key come together: give both");
  }
  return {};
}

Result<std::shared_ptr<const TlsContext>> TlsContext::create(const TlsOptions& options) {
  TRY(options.validate());
  std::unique_ptr<ssl_ctx_st, Free> context(SSL_CTX_new(TLS_client_method()));
  if (!context) return fail_tls(ErrorCode::kUnsupported, "cannot set up TLS");
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  // Several records a system call, instead of two calls a record.
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_default_read_buffer_len(raw, kReadAheadBytes);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_load_verify_locations(raw, options.ca_file.c_str(), nullptr) != 1) {
    return fail_tls(ErrorCode::kInvalid, "cannot use the TLS authorities in " + options.ca_file);
  }
  if (!options.cert_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, options.cert_file.c_str()) != 1) {
      return fail_tls(ErrorCode::kInvalid, "cannot use the TLS certificate " + options.cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(raw, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1) {
      return fail_tls(ErrorCode::kInvalid, "cannot use the TLS key " + options.key_file);
    }
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context), options.server_name));
}

Result<SslPointer> TlsContext::connection(int socket, const std::string& host) const {
  const std::string& name = server_name_.empty() ? host : server_name_;
  SslPointer ssl(SSL_new(context_.get()));
  BIO* const bio = ssl ? make_bio(socket) : nullptr;
  if (bio == nullptr) return fail_tls(ErrorCode::kUnavailable, "cannot begin TLS with " + name);
  SSL_set_bio(ssl.get(), bio, bio);
  bool named = false;
  if (numeric_address(name, 0)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), name.c_str()) == 1;
  } else {
    named = SSL_set1_host(ssl.get(), name.c_str()) == 1 &&
            SSL_set_tlsext_host_name(ssl.get(), name.c_str()) == 1;
  }
  if (!named) return fail_tls(ErrorCode::kInvalid, "TLS cannot check the name " + name);
  SSL_set_connect_state(ssl.get());
  return ssl;
}

}  // namespace thaw
