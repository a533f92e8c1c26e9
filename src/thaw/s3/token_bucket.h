// SPDX-License-Identifier: Apache-2.0
//
// TokenBucket: lets something extra (retries, hedges) happen at most in a share of what happens
// anyway, plus a small reserve for quiet times. A storm of them cannot come about: the bucket is
// filled by first attempts only, never by time.
#pragma once

#include <algorithm>

namespace thaw {

/// Belongs to one thread.
class TokenBucket {
 public:
  /// Starts full. 0 <= share <= 1; with share 0 and reserve 0 it never gives.
  TokenBucket(double share, unsigned reserve)
      : share_(share), tokens_max_(reserve), tokens_(reserve) {
    // A reserve of 0 still has to hold the one token that shares add up to.
    if (share > 0) tokens_max_ = std::max(tokens_max_, 1.0);
  }

  /// Something ordinary happens.
  void deposit() { tokens_ = std::min(tokens_ + share_, tokens_max_); }
  /// True if something extra may happen now.
  [[nodiscard]] bool take() {
    // Shares like 0.1 are not exact: ten of them are a token all the same.
    constexpr double kRoundingSlack = 1e-9;
    if (tokens_ + kRoundingSlack < 1) return false;
    tokens_ = std::max(tokens_ - 1, 0.0);
    return true;
  }

 private:
  const double share_;
  double tokens_max_;
  double tokens_;
};

}  // namespace thaw
