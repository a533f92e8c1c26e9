// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/stripe_node.h"

namespace thaw {

const char* to_string(StripeOutcome outcome) {
  switch (outcome) {
    case StripeOutcome::kOk:
      return "ok";
    case StripeOutcome::kMiss:
      return "miss";
    case StripeOutcome::kCorrupt:
      return "corrupt";
    case StripeOutcome::kTimeout:
      return "timeout";
    case StripeOutcome::kFailed:
      return "failed";
    case StripeOutcome::kNotAccepted:
      return "not accepted";
    case StripeOutcome::kRefused:
      return "refused";
    case StripeOutcome::kAbandoned:
      return "abandoned";
  }
  return "?";
}

}  // namespace thaw
