// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/zone_loop.h"

#include <unordered_map>

#include "thaw/zone/memcache_node.h"
#include "thaw/zone/shaped_node.h"

namespace thaw {
namespace {

/// How often nodes that left the fleet are looked at: whether requests still hold them.
constexpr std::chrono::milliseconds kRetireInterval(100);

}  // namespace

Result<std::unique_ptr<ZoneLoop>> ZoneLoop::start(const ZoneOptions& options, Resolver& resolver,
                                                  std::shared_ptr<const TlsContext> tls,
                                                  uint64_t seed) {
  ASSIGN_OR_RETURN(auto loop, EventLoop::start());
  return std::unique_ptr<ZoneLoop>(
      new ZoneLoop(options, resolver, std::move(tls), seed, std::move(loop)));
}

ZoneLoop::ZoneLoop(const ZoneOptions& options, Resolver& resolver,
                   std::shared_ptr<const TlsContext> tls, uint64_t seed,
                   std::unique_ptr<EventLoop> loop)
    : options_(options),
      resolver_(resolver),
      tls_(std::move(tls)),
      seed_(seed),
      loop_(std::move(loop)) {}

void ZoneLoop::use_fleet(std::shared_ptr<const Fleet> fleet) {
  loop_->run_and_wait([&] { apply(std::move(fleet)); });
}

void ZoneLoop::close() {
  loop_->run_and_wait([this] {
    loop_->cancel(std::exchange(retire_timer_, {}));
    // Closing calls back, and callbacks may look for nodes.
    std::vector<std::shared_ptr<StripeNode>> closing = std::move(nodes_);
    closing.insert(closing.end(), retired_.begin(), retired_.end());
    nodes_.clear();
    retired_.clear();
    fleet_ = nullptr;
    for (const auto& node : closing) node->close();
  });
}

std::shared_ptr<StripeNode> ZoneLoop::make_node(const ZoneNodeAddress& address,
                                                std::shared_ptr<NodeCounters> counters) {
  auto node = std::make_unique<MemcacheNode>(*loop_, resolver_, address, options_.node, tls_,
                                             std::move(counters), ++seed_);
  if (!options_.shape) return node;
  return std::make_unique<ShapedNode>(*loop_, std::move(node), *options_.shape, ++seed_);
}

void ZoneLoop::apply(std::shared_ptr<const Fleet> fleet) {
  // The counters stand for the node: the zone client keeps them where name and address stay.
  std::unordered_map<const NodeCounters*, std::shared_ptr<StripeNode>> old;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    old.emplace(fleet_->counters[i].get(), std::move(nodes_[i]));
  }
  nodes_.clear();
  fleet_ = std::move(fleet);
  for (size_t i = 0; i < fleet_->nodes.size(); ++i) {
    const auto kept = old.extract(fleet_->counters[i].get());
    nodes_.push_back(kept ? kept.mapped() : make_node(fleet_->nodes[i], fleet_->counters[i]));
  }
  for (auto& [counters, node] : old) retired_.push_back(std::move(node));
  drop_retired();
}

void ZoneLoop::drop_retired() {
  // A request holds its nodes; it must not be the one to destroy one, inside the node's own call.
  std::erase_if(retired_, [](const auto& node) { return node.use_count() == 1; });
  if (retired_.empty() || retire_timer_) return;
  retire_timer_ = loop_->call_at(std::chrono::steady_clock::now() + kRetireInterval, [this] {
    retire_timer_ = {};
    drop_retired();
  });
}

StripeNodes ZoneLoop::nodes_of(const ChunkId& chunk, unsigned needed) const {
  if (fleet_ == nullptr || nodes_.size() < needed) return {};
  StripeNodes nodes;
  for (const Placement::Node node : fleet_->placement.nodes_of(chunk)) {
    nodes.push_back(node == Placement::kNoNode ? nullptr : nodes_[node]);
  }
  return nodes;
}

}  // namespace thaw
