// SPDX-License-Identifier: Apache-2.0
//
// FanOut: one request to each of a chunk's nodes, all at once, and when that is decided. Nothing is
// asked twice: the work for a chunk is the same on a good day and on a bad one.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "thaw/zone/stripe_node.h"

namespace thaw {

using StripeOutcomes = std::array<StripeOutcome, kStripesMax>;
/// One node a stripe; null where there is none. Shared: the list of nodes may change while requests
/// are under way.
using StripeNodes = std::vector<std::shared_ptr<StripeNode>>;

/// Belongs to the loop's thread. Keeps itself alive until it is decided.
class FanOut final : public std::enable_shared_from_this<FanOut> {
 public:
  /// Decided when `enough` are kOk, or more than `failures_max` are not, or all have answered.
  struct Rule {
    unsigned enough = 0;
    unsigned failures_max = 0;
  };
  /// Starts stripe `index`'s request at a node; 0 if it is refused.
  using Begin =
      std::function<StripeNode::RequestId(StripeNode& node, unsigned index, StripeNode::Done done)>;
  using Finished = std::function<void(const StripeOutcomes& outcomes)>;

  /// `finished` is called once, perhaps inside this call; what was not waited for is abandoned
  /// before and stands as kAbandoned.
  static void start(StripeNodes nodes, Rule rule, const Begin& begin, Finished finished);

 private:
  FanOut(StripeNodes nodes, Rule rule, Finished finished);
  void begin_all(const Begin& begin);
  void on_outcome(unsigned index, StripeOutcome outcome);
  void finish_if_decided();

  StripeNodes nodes_;
  const Rule rule_;
  Finished finished_;
  std::array<StripeNode::RequestId, kStripesMax> requests_{};
  StripeOutcomes outcomes_{};
  unsigned good_ = 0;
  unsigned bad_ = 0;
};

}  // namespace thaw
