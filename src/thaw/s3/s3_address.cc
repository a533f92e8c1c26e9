// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_address.h"

#include <algorithm>
#include <charconv>

#include "thaw/base/name.h"
#include "thaw/s3/uri_encoding.h"
#include "thaw/store/object_store.h"

namespace thaw {
namespace {

constexpr size_t kBucketBytesMin = 3;
constexpr size_t kBucketBytesMax = 63;
constexpr size_t kHostBytesMax = 255;

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_host_character(char c) {
  return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
}

struct Authority {
  std::string host;
  unsigned port = 0;  // 0: the scheme's own
};

/// "host", "host:port" or "[address]:port"; false if it is none of them.
bool parse_authority(std::string_view text, Authority& authority) {
  size_t host_end = std::min(text.find(':'), text.size());
  if (text.starts_with('[')) {
    host_end = text.find(']');
    if (host_end == std::string_view::npos || host_end < 2) return false;
    ++host_end;
    const std::string_view address = text.substr(1, host_end - 2);
    if (address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
      return false;
    }
  } else {
    const std::string_view host = text.substr(0, host_end);
    if (host.empty() || !std::all_of(host.begin(), host.end(), is_host_character)) return false;
  }
  authority.host = std::string(text.substr(0, host_end));
  if (authority.host.size() > kHostBytesMax) return false;
  if (host_end == text.size()) return true;
  const std::string_view port = text.substr(host_end + 1);
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), authority.port, 10);
  return text[host_end] == ':' && error == std::errc() && end == port.data() + port.size() &&
         authority.port >= 1 && authority.port <= 65535;
}

}  // namespace

Result<void> validate_bucket(std::string_view bucket) {
  const bool valid = bucket.size() >= kBucketBytesMin && bucket.size() <= kBucketBytesMax &&
                     is_lower_or_digit(bucket.front()) && is_lower_or_digit(bucket.back()) &&
                     std::all_of(bucket.begin(), bucket.end(), [](char c) {
                       return is_lower_or_digit(c) || c == '-' || c == '.';
                     });
  if (valid && bucket.find("..") == std::string_view::npos) return {};
  return fail(ErrorCode::kInvalid,
              quote(bucket) +
                  " is no name of a bucket: 3 to 63 of a-z 0-9 - . with a letter or digit at "
                  "both ends");
}

Result<S3Address> S3Address::parse(std::string_view text) {
  constexpr std::string_view kScheme = "s3://";
  if (!text.starts_with(kScheme)) {
    return fail(ErrorCode::kInvalid, quote(text) + " is no S3 address; write s3://bucket/prefix");
  }
  std::string_view rest = text.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t slash = std::min(rest.find('/'), rest.size());
  S3Address address{std::string(rest.substr(0, slash)), ""};
  if (slash < rest.size()) address.prefix = std::string(rest.substr(slash + 1));
  TRY(validate_bucket(address.bucket));
  if (slash < rest.size() && !validate_key(address.prefix)) {
    return fail(ErrorCode::kInvalid, quote(text) + ": " + quote(address.prefix) +
                                         " cannot be the prefix of a store's keys");
  }
  return address;
}

Result<S3Endpoint> S3Endpoint::create(const S3Options& options) {
  S3Endpoint endpoint;
  const bool amazon = options.endpoint.empty();
  endpoint.base_ = amazon ? "https://s3." + options.region + ".amazonaws.com" : options.endpoint;
  std::string_view rest = endpoint.base_;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (rest.starts_with(scheme)) endpoint.scheme_ = scheme;
  }
  rest.remove_prefix(endpoint.scheme_.size());
  Authority authority;
  if (endpoint.scheme_.empty() || !parse_authority(rest, authority)) {
    return fail(ErrorCode::kInvalid,
                "the S3 endpoint " + quote(endpoint.base_) +
                    " is not of the form https://host or http://host:port, without a path");
  }
  const unsigned own_port = endpoint.scheme_ == "https://" ? 443 : 80;
  endpoint.host_ = authority.host;
  if (authority.port != 0 && authority.port != own_port) {
    endpoint.host_ += ":" + std::to_string(authority.port);
  }
  const bool dotted = options.bucket.find('.') != std::string::npos;
  const bool virtual_host = options.addressing == S3Addressing::kVirtualHost ||
                            (options.addressing == S3Addressing::kAuto && amazon && !dotted);
  if (virtual_host) {
    endpoint.host_ = options.bucket + "." + endpoint.host_;
    endpoint.path_prefix_ = "/";
  } else {
    endpoint.path_prefix_ = "/" + options.bucket;
  }
  return endpoint;
}

std::string S3Endpoint::path_of(std::string_view key) const {
  if (key.empty()) return path_prefix_;
  return path_prefix_ + (path_prefix_ == "/" ? "" : "/") + uri_encode_path(key);
}

std::string S3Endpoint::url(std::string_view path, std::string_view query) const {
  std::string text = scheme_ + host_ + std::string(path);
  if (!query.empty()) text += "?" + std::string(query);
  return text;
}

}  // namespace thaw
