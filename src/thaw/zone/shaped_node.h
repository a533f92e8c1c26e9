// SPDX-License-Identifier: Apache-2.0
//
// ShapedNode: a node that answers as late as a far one would, for benchmarks on one machine.
// Answers wait on the loop's timers; a request that its delay carries past its deadline times out.
#pragma once

#include <memory>
#include <unordered_map>

#include "thaw/base/latency_shape.h"
#include "thaw/net/event_loop.h"
#include "thaw/zone/stripe_node.h"

namespace thaw {

class ShapedNode final : public StripeNode {
 public:
  ShapedNode(EventLoop& loop, std::unique_ptr<StripeNode> inner, const LatencyShape& shape,
             uint64_t seed)
      : loop_(loop), link_(shape, seed), inner_(std::move(inner)) {}
  ~ShapedNode() override { ShapedNode::close(); }

  RequestId get(const StripeId& id, MutableByteSpan out, Deadline deadline, Done done) override;
  RequestId set(const StripeId& id, ByteSpan header, ByteSpan payload,
                std::shared_ptr<const void> keep_alive, Deadline deadline, Done done) override;
  RequestId remove(const StripeId& id, Deadline deadline, Done done) override;
  void abandon(RequestId request) override;
  void close() override;

 private:
  struct Delayed {
    Done done;
    Deadline deadline;
    EventLoop::Time asked;
    RequestId inner = 0;
    EventLoop::TimerId timer;
  };

  /// `begin` starts the inner request with the callback it is given.
  RequestId delay(uint64_t bytes, Deadline deadline, Done done,
                  const std::function<RequestId(Done)>& begin);
  void finish(RequestId id, StripeOutcome outcome);

  EventLoop& loop_;
  ShapedLink link_;
  std::unordered_map<RequestId, Delayed> waiting_;
  RequestId made_ = 0;
  std::unique_ptr<StripeNode> inner_;
};

}  // namespace thaw
