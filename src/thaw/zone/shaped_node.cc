// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/shaped_node.h"

#include <algorithm>
#include <vector>

namespace thaw {

void ShapedNode::close() {
  inner_->close();
  std::vector<RequestId> left;
  for (const auto& [id, delayed] : waiting_) left.push_back(id);
  for (const RequestId id : left) {
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) continue;  // abandoned by the callback of another
    loop_.cancel(found->second.timer);
    finish(id, StripeOutcome::kFailed);
  }
}

StripeNode::RequestId ShapedNode::get(const StripeId& id, MutableByteSpan out, Deadline deadline,
                                      Done done) {
  return delay(id.payload_bytes(), deadline, std::move(done),
               [&](Done delayed) { return inner_->get(id, out, deadline, std::move(delayed)); });
}

StripeNode::RequestId ShapedNode::set(const StripeId& id, ByteSpan header, ByteSpan payload,
                                      std::shared_ptr<const void> keep_alive, Deadline deadline,
                                      Done done) {
  return delay(payload.size(), deadline, std::move(done), [&](Done delayed) {
    return inner_->set(id, header, payload, std::move(keep_alive), deadline, std::move(delayed));
  });
}

StripeNode::RequestId ShapedNode::remove(const StripeId& id, Deadline deadline, Done done) {
  return delay(0, deadline, std::move(done),
               [&](Done delayed) { return inner_->remove(id, deadline, std::move(delayed)); });
}

void ShapedNode::abandon(RequestId request) {
  const auto found = waiting_.find(request);
  if (found == waiting_.end()) return;
  loop_.cancel(found->second.timer);
  inner_->abandon(found->second.inner);
  waiting_.erase(found);
}

StripeNode::RequestId ShapedNode::delay(uint64_t bytes, Deadline deadline, Done done,
                                        const std::function<RequestId(Done)>& begin) {
  const RequestId id = ++made_;
  const EventLoop::Time asked = std::chrono::steady_clock::now();
  const RequestId inner = begin([this, id, bytes](StripeOutcome outcome) {
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    Delayed& delayed = found->second;
    // A miss carries no value; a node that failed has answered nothing to wait for.
    const bool carries = outcome == StripeOutcome::kOk || outcome == StripeOutcome::kCorrupt;
    EventLoop::Time time = delayed.asked;
    if (outcome != StripeOutcome::kFailed && outcome != StripeOutcome::kTimeout) {
      time = link_.arrival(delayed.asked, carries ? bytes : 0);
    }
    const bool late = time > delayed.deadline;
    delayed.timer = loop_.call_at(std::min(time, delayed.deadline), [this, id, outcome, late] {
      finish(id, late ? StripeOutcome::kTimeout : outcome);
    });
  });
  if (inner == 0) return 0;
  waiting_.emplace(id, Delayed{std::move(done), deadline, asked, inner, {}});
  return id;
}

void ShapedNode::finish(RequestId id, StripeOutcome outcome) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const Done done = std::move(found->second.done);
  waiting_.erase(found);
  done(outcome);
}

}  // namespace thaw
