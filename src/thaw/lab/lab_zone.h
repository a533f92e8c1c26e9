// SPDX-License-Identifier: Apache-2.0
//
// LabZone: the zone of the lab, and what it holds.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "thaw/base/result.h"
#include "thaw/zone/loopback_zone.h"

namespace thaw {

/// Belongs to one thread, which lives as long.
class LabZone {
 public:
  /// kUnsupported, with what to install, if there is no memcached.
  static Result<std::unique_ptr<LabZone>> start();

  /// All its servers answer: a moment's standstill of the machine makes a resume slow, and must not
  /// make its figure another tier's.
  ZoneOptions options(uint64_t seed) const;
  size_t nodes() const { return servers_->nodes(); }
  MemcachedProcess& server(size_t node) { return servers_->server(node); }

  /// Forgets all that the servers have.
  Result<void> empty();

  /// The names of what was put here whole: the caller's to keep; empty() clears it.
  std::set<std::string>& filled() { return filled_; }

 private:
  explicit LabZone(std::unique_ptr<LoopbackZone> servers) : servers_(std::move(servers)) {}

  const std::unique_ptr<LoopbackZone> servers_;
  std::set<std::string> filled_;
};

}  // namespace thaw
