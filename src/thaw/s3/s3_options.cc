// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_options.h"

#include <algorithm>
#include <string_view>

#include "thaw/base/name.h"
#include "thaw/s3/s3_address.h"
#include "thaw/store/object_store.h"

namespace thaw {
namespace {

constexpr unsigned kConnectionsLimit = 1024;
constexpr unsigned kCallsLimit = 1'000'000;
constexpr unsigned kMillisecondsLimit = 3'600'000;
constexpr unsigned kAttemptsLimit = 100;
constexpr unsigned kReserveLimit = 1'000'000;
constexpr unsigned kPageKeysLimit = 1000;  // what S3 gives at most
constexpr size_t kRegionBytesMax = 64;

Result<void> in_range(const char* field, unsigned value, unsigned least, unsigned most) {
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::kInvalid, "the S3 option " + std::string(field) + " is " +
                                       std::to_string(value) + "; it has to be " +
                                       std::to_string(least) + " to " + std::to_string(most));
}

Result<void> is_share(const char* field, double value) {
  if (value >= 0 && value <= 1) return {};
  return fail(ErrorCode::kInvalid, "the S3 option " + std::string(field) + " is " +
                                       std::to_string(value) + "; it has to be 0 to 1");
}

bool is_region(std::string_view region) {
  return !region.empty() && region.size() <= kRegionBytesMax &&
         std::all_of(region.begin(), region.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace

Result<void> S3Options::validate() const {
  TRY(validate_bucket(bucket));
  if (!prefix.empty() && !validate_key(prefix)) {
    return fail(ErrorCode::kInvalid, quote(prefix) + " cannot be the prefix of a store's keys");
  }
  if (!is_region(region)) {
    return fail(ErrorCode::kInvalid,
                quote(region) + " is no S3 region; one looks like eu-central-1");
  }
  TRY(S3Endpoint::create(*this));
  TRY(in_range("connections_max", connections_max, 1, kConnectionsLimit));
  TRY(in_range("puts_in_flight_max", puts_in_flight_max, 1, kConnectionsLimit));
  TRY(in_range("calls_max", calls_max, 1, kCallsLimit));
  TRY(in_range("request_deadline_ms", request_deadline_ms, 1, kMillisecondsLimit));
  TRY(in_range("attempt_timeout_ms", attempt_timeout_ms, 1, kMillisecondsLimit));
  TRY(in_range("connect_timeout_ms", connect_timeout_ms, 1, kMillisecondsLimit));
  TRY(in_range("stall_ms", stall_ms, 1, kMillisecondsLimit));
  TRY(in_range("attempts_max", attempts_max, 1, kAttemptsLimit));
  TRY(in_range("backoff_cap_ms", backoff_cap_ms, 1, kMillisecondsLimit));
  TRY(in_range("backoff_base_ms", backoff_base_ms, 1, backoff_cap_ms));
  TRY(is_share("retry_share", retry_share));
  TRY(in_range("retry_reserve", retry_reserve, 0, kReserveLimit));
  TRY(in_range("hedge_percentile", hedge_percentile, 0, 99));
  TRY(is_share("hedge_share", hedge_share));
  TRY(in_range("hedge_reserve", hedge_reserve, 0, kReserveLimit));
  return in_range("list_page_keys", list_page_keys, 1, kPageKeysLimit);
}

}  // namespace thaw
