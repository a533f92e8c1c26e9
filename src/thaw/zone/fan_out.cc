// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/fan_out.h"

#include "thaw/base/check.h"

namespace thaw {

FanOut::FanOut(StripeNodes nodes, Rule rule, Finished finished)
    : nodes_(std::move(nodes)), rule_(rule), finished_(std::move(finished)) {
  CHECK(nodes_.size() <= kStripesMax);
  outcomes_.fill(StripeOutcome::kAbandoned);
}

void FanOut::start(StripeNodes nodes, Rule rule, const Begin& begin, Finished finished) {
  const std::shared_ptr<FanOut> self(new FanOut(std::move(nodes), rule, std::move(finished)));
  self->begin_all(begin);
  self->finish_if_decided();
}

void FanOut::begin_all(const Begin& begin) {
  for (unsigned i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]) {
      requests_[i] = begin(*nodes_[i], i, [self = shared_from_this(), i](StripeOutcome outcome) {
        self->on_outcome(i, outcome);
        self->finish_if_decided();
      });
    }
    if (requests_[i] == 0) on_outcome(i, StripeOutcome::kRefused);
  }
}

void FanOut::on_outcome(unsigned index, StripeOutcome outcome) {
  requests_[index] = 0;
  outcomes_[index] = outcome;
  ++(outcome == StripeOutcome::kOk ? good_ : bad_);
}

void FanOut::finish_if_decided() {
  if (!finished_) return;
  if (good_ < rule_.enough && bad_ <= rule_.failures_max && good_ + bad_ < nodes_.size()) return;
  for (unsigned i = 0; i < nodes_.size(); ++i) {
    if (requests_[i] != 0) nodes_[i]->abandon(requests_[i]);
  }
  nodes_.clear();
  const Finished finished = std::move(finished_);
  finished_ = nullptr;
  finished(outcomes_);
}

}  // namespace thaw
