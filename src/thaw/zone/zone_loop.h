// SPDX-License-Identifier: Apache-2.0
//
// ZoneLoop: one thread of the zone client with a connection of its own to each node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "thaw/net/event_loop.h"
#include "thaw/net/socket_address.h"
#include "thaw/zone/fan_out.h"
#include "thaw/zone/node_counters.h"
#include "thaw/zone/placement.h"
#include "thaw/zone/zone_options.h"

namespace thaw {

/// The nodes at one time, and what each of them keeps. Immutable but for the counters.
struct Fleet {
  std::vector<ZoneNodeAddress> nodes;
  std::vector<std::shared_ptr<NodeCounters>> counters;
  Placement placement;
};

/// Made and destroyed by the zone client. post() may be called from any thread, the rest from the
/// loop's only, but for use_fleet() and close(), which wait for it.
class ZoneLoop {
 public:
  /// Borrows the resolver. `tls` is shared by all connections.
  static Result<std::unique_ptr<ZoneLoop>> start(const ZoneOptions& options, Resolver& resolver,
                                                 std::shared_ptr<const TlsContext> tls,
                                                 uint64_t seed);

  ~ZoneLoop() { close(); }
  ZoneLoop(const ZoneLoop&) = delete;
  ZoneLoop& operator=(const ZoneLoop&) = delete;

  void post(EventLoop::Task task) { loop_->post(std::move(task)); }
  bool in_loop() const { return loop_->in_loop(); }

  /// From now on requests go to these. Nodes that stay keep their connection; what is under way at
  /// others goes on until it is decided.
  void use_fleet(std::shared_ptr<const Fleet> fleet);
  /// Ends all that is under way; there are no nodes after that. May be called again.
  void close();

  /// For each stripe of the chunk the node that keeps it; empty if there are fewer nodes than
  /// `needed`.
  StripeNodes nodes_of(const ChunkId& chunk, unsigned needed) const;

 private:
  ZoneLoop(const ZoneOptions& options, Resolver& resolver, std::shared_ptr<const TlsContext> tls,
           uint64_t seed, std::unique_ptr<EventLoop> loop);
  std::shared_ptr<StripeNode> make_node(const ZoneNodeAddress& address,
                                        std::shared_ptr<NodeCounters> counters);
  void apply(std::shared_ptr<const Fleet> fleet);
  void drop_retired();

  const ZoneOptions options_;
  Resolver& resolver_;
  const std::shared_ptr<const TlsContext> tls_;
  uint64_t seed_;
  std::unique_ptr<EventLoop> loop_;

  // The loop's thread only.
  std::shared_ptr<const Fleet> fleet_;
  std::vector<std::shared_ptr<StripeNode>> nodes_;    // as the fleet has them
  std::vector<std::shared_ptr<StripeNode>> retired_;  // requests at them may be under way
  EventLoop::TimerId retire_timer_;
};

}  // namespace thaw
