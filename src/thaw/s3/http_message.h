// SPDX-License-Identifier: Apache-2.0
//
// One HTTP request and what became of it, as http_client.h takes and gives them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"

namespace thaw {

enum class HttpMethod { kGet, kHead, kPut, kPost, kDelete };

constexpr const char* to_string(HttpMethod method) {
  switch (method) {
    case HttpMethod::kGet:
      return "GET";
    case HttpMethod::kHead:
      return "HEAD";
    case HttpMethod::kPut:
      return "PUT";
    case HttpMethod::kPost:
      return "POST";
    case HttpMethod::kDelete:
      return "DELETE";
  }
  return "?";
}

/// Names are in lower case.
struct HttpHeader {
  std::string name;
  std::string value;
  friend bool operator==(const HttpHeader&, const HttpHeader&) = default;
};

/// How much is kept of the body of an answer that is no success.
inline constexpr uint64_t kErrorBodyBytesMax = 64 * kKiB;

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string url;
  std::vector<HttpHeader> headers;
  ByteSpan body;  // borrowed until the request is done or cancelled
  /// Where the body of a 2xx answer goes, borrowed likewise; without it, into HttpAnswer::body.
  std::optional<MutableByteSpan> into;
  /// How large the body of a 2xx answer may be that goes into HttpAnswer::body.
  uint64_t body_bytes_max = kErrorBodyBytesMax;
  std::chrono::milliseconds connect_timeout{3000};
  /// From the moment the request leaves the queue until the last byte of its answer.
  std::chrono::milliseconds timeout{10'000};
  /// Without a byte in either direction for so long the request fails.
  std::chrono::milliseconds stall{3000};
};

enum class HttpFailure {
  kNone,      // there is an answer; its status may still be an error
  kResolve,   // the host name is unknown
  kConnect,   // no connection
  kTls,       // the certificate is not to be trusted, or the CA file cannot be read
  kTimeout,   // not done in time
  kStalled,   // no byte for too long
  kReset,     // the connection ended before the answer did
  kTooLarge,  // the body is larger than the place for it
  kProtocol,  // not HTTP, or not what curl can do
};

struct HttpAnswer {
  HttpFailure failure = HttpFailure::kNone;
  std::string detail;  // of the failure, from curl
  int status = 0;      // 0: none came
  std::vector<HttpHeader> headers;
  Bytes body;
  size_t into_bytes = 0;  // bytes written to HttpRequest::into
  /// How often the request was begun on a connection. curl repeats one by itself when a kept
  /// connection turns out to be dead; the server may have acted on it all the same.
  unsigned sends = 0;
  std::chrono::nanoseconds elapsed{0};  // since it left the queue

  bool is_success() const {
    return failure == HttpFailure::kNone && status >= 200 && status <= 299;
  }
  /// The first header of that name; nullptr if there is none.
  const std::string* header(std::string_view name) const {
    for (const HttpHeader& each : headers) {
      if (each.name == name) return &each.value;
    }
    return nullptr;
  }
};

}  // namespace thaw
