// SPDX-License-Identifier: Apache-2.0
//
// ServingSignals: what a verb that serves does with signals: SIGINT and SIGTERM stop it, SIGHUP has
// it read the zone's nodes again.
#pragma once

#include <functional>
#include <memory>

#include "thaw/base/guarded.h"
#include "thaw/cli/interrupt.h"
#include "thaw/cli/settings.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// Made by the main thread before it makes workers; who the signals are for is known only later.
class ServingSignals {
 public:
  /// Borrows the settings. `others`: what this verb does with further signals.
  static Result<std::unique_ptr<ServingSignals>> watch(const Settings& settings,
                                                       Interrupt::Others others = {});

  /// From now on the signals are for these; `stop` is called at once if one has come already. They
  /// must outlive this object.
  void attach(std::function<void()> stop, TierStack& tiers);

 private:
  struct State {
    std::function<void()> stop;
    TierStack* tiers = nullptr;
    bool stopped = false;
  };

  explicit ServingSignals(const Settings& settings) : settings_(settings) {}
  void on_stop();
  void on_hangup();

  const Settings& settings_;
  Guarded<State> state_;
  std::unique_ptr<Interrupt> interrupt_;  // last: its thread uses the rest
};

}  // namespace thaw
