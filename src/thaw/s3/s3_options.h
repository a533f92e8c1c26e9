// SPDX-License-Identifier: Apache-2.0
//
// S3Options: where the bucket is and how patient a store over it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "thaw/base/result.h"

namespace thaw {

/// Where the bucket's name stands: in the path, or before the host. kAuto: before the host at
/// Amazon (unless the name has a dot, which no wildcard certificate covers), in the path elsewhere.
enum class S3Addressing { kAuto, kPath, kVirtualHost };

struct S3Options {
  std::string bucket;
  /// Of every key in the bucket, without the final '/': "" or "a" or "a/b".
  std::string prefix;
  /// "http://host:port" or "https://host"; empty: Amazon's endpoint of the region.
  std::string endpoint;
  std::string region = "us-east-1";
  S3Addressing addressing = S3Addressing::kAuto;
  /// PEM file of the authorities to trust instead of the system's; empty: the system's.
  std::string ca_file;

  /// Requests under way at once, each on its own connection; more wait in a queue.
  unsigned connections_max = 64;
  /// Objects of one put_if_absent() under way at once.
  unsigned puts_in_flight_max = 16;
  /// Calls begun and not ended, waiting ones included; one more is kOverloaded.
  unsigned calls_max = 4096;

  /// Until a blocking call gives up, its retries included. Each object of a group has its own.
  unsigned request_deadline_ms = 30'000;
  unsigned attempt_timeout_ms = 15'000;
  unsigned connect_timeout_ms = 3'000;
  /// An attempt without a byte in either direction for so long has failed.
  unsigned stall_ms = 4'000;

  /// Attempts of one call, hedges not counted.
  unsigned attempts_max = 8;
  /// The wait before retry n is uniform in [0, min(cap, base * 2^(n-1))].
  unsigned backoff_base_ms = 50;
  unsigned backoff_cap_ms = 5'000;
  /// Retries of all calls together are at most this share of the calls, plus the reserve.
  double retry_share = 0.1;
  unsigned retry_reserve = 50;

  /// A read that is out for longer than this percentile of the latest ones gets a second request,
  /// the hedge, and the first good answer counts. 0: never. At most the share of the reads, plus
  /// the reserve.
  unsigned hedge_percentile = 95;
  double hedge_share = 0.05;
  unsigned hedge_reserve = 8;

  /// Keys asked for in one request of a listing.
  unsigned list_page_keys = 1000;

  /// Of the waits before retries; 0: from the kernel.
  uint64_t seed = 0;
  /// What signs requests; empty: the system's clock. For tests.
  std::function<std::chrono::system_clock::time_point()> wall_clock;

  /// kInvalid, naming the field, if one is out of its range.
  Result<void> validate() const;
};

}  // namespace thaw
