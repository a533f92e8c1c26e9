// SPDX-License-Identifier: Apache-2.0
//
// LabZone: the zone of the lab: stock memcached servers on the loopback, whose answers are shaped
// as a zone's (base/latency_shape.h), four stripes and one of parity.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/zone/memcached_process.h"
#include "thaw/zone/zone_options.h"

namespace thaw {

/// Belongs to one thread, which lives as long.
class LabZone {
 public:
  /// kUnsupported, with what to install, if there is no memcached.
  static Result<std::unique_ptr<LabZone>> start();

  ZoneOptions options(uint64_t seed) const;
  size_t nodes() const { return servers_.size(); }

  /// Forgets all that the servers have.
  Result<void> empty();

  /// The names of what was put here whole: the caller's to keep; empty() clears it.
  std::set<std::string>& filled() { return filled_; }

 private:
  std::vector<std::unique_ptr<MemcachedProcess>> servers_;
  std::set<std::string> filled_;
};

}  // namespace thaw
