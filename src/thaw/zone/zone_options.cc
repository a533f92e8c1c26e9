// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/zone_options.h"

#include <set>

#include "thaw/base/name.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

constexpr unsigned kThreadsMax = 64;
constexpr uint32_t kTimeoutMsMax = 60'000;

Result<void> check_range(const char* what, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalid, std::string("zone: ") + what + " is " + std::to_string(value) +
                                       "; give " + std::to_string(min) + " to " +
                                       std::to_string(max));
}

}  // namespace

std::string ZoneNodeAddress::effective_name() const {
  return name.empty() ? host + ":" + std::to_string(port) : name;
}

Result<void> validate_zone_nodes(const std::vector<ZoneNodeAddress>& nodes) {
  std::set<std::string> names;
  for (const ZoneNodeAddress& node : nodes) {
    if (!names.insert(node.effective_name()).second) {
      return fail(ErrorCode::kInvalid, "two zone nodes are called " + quote(node.effective_name()));
    }
    if (node.host.empty() || node.port == 0) {
      return fail(ErrorCode::kInvalid,
                  "zone node " + quote(node.effective_name()) + " needs a host and a port");
    }
    if (!node.name.empty() && !is_name(node.name)) {
      return fail(ErrorCode::kInvalid,
                  "zone node name " + quote(node.name) + ": " + std::string(kNameRule));
    }
  }
  return {};
}

void ZoneOptions::set_timeouts(uint32_t ms) {
  get_timeout_ms = set_timeout_ms = ms;
  node.connect_timeout_ms = node.stall_timeout_ms = ms;
}

Result<void> ZoneOptions::validate() const {
  TRY(validate_stripe_shape(data_stripes, parity_stripes));
  TRY(validate_zone_nodes(nodes));
  TRY(check_range("get_timeout_ms", get_timeout_ms, 1, kTimeoutMsMax));
  TRY(check_range("set_timeout_ms", set_timeout_ms, 1, kTimeoutMsMax));
  TRY(check_range("connect_timeout_ms", node.connect_timeout_ms, 1, kTimeoutMsMax));
  TRY(check_range("stall_timeout_ms", node.stall_timeout_ms, 1, kTimeoutMsMax));
  TRY(check_range("threads", threads, 1, kThreadsMax));
  TRY(check_range("gets_in_flight_max", gets_in_flight_max, 1, UINT32_MAX));
  TRY(check_range("put_bytes_in_flight_max", put_bytes_in_flight_max, 1, UINT64_MAX));
  TRY(check_range("item_bytes_max", item_bytes_max, kKiB, kGiB));
  TRY(check_range("requests_max", node.requests_max, 1, UINT32_MAX));
  TRY(check_range("queued_bytes_max", node.queued_bytes_max, kKiB, UINT64_MAX));
  TRY(check_range("reconnect_delay_ms", node.reconnect_delay_ms, 1, node.reconnect_delay_ms_max));
  TRY(node.breaker.validate());
  if (tls) TRY(tls->validate());
  return {};
}

}  // namespace thaw
