// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/serving_signals.h"

#include <csignal>

#include "thaw/base/log.h"

namespace thaw {
namespace {

Result<size_t> take_nodes(const Settings& settings, TierStack& tiers) {
  if (!settings.config_path) return fail(ErrorCode::kInvalid, "there is no config file");
  ASSIGN_OR_RETURN(const Config config, read_config(*settings.config_path));
  if (!config.tiers.zone)
    return fail(ErrorCode::kInvalid, "the config file has no [zone] any more");
  if (tiers.zone_client() == nullptr) {
    return fail(ErrorCode::kInvalid, "this process runs without a zone: start it again");
  }
  TRY(tiers.zone_client()->set_nodes(config.tiers.zone->nodes));
  return config.tiers.zone->nodes.size();
}

}  // namespace

Result<std::unique_ptr<ServingSignals>> ServingSignals::watch(const Settings& settings,
                                                              Interrupt::Others others) {
  std::unique_ptr<ServingSignals> signals(new ServingSignals(settings));
  others[SIGHUP] = [raw = signals.get()] { raw->on_hangup(); };
  ASSIGN_OR_RETURN(
      signals->interrupt_,
      Interrupt::watch([raw = signals.get()](int) { raw->on_stop(); }, std::move(others)));
  return signals;
}

void ServingSignals::attach(std::function<void()> stop, TierStack& tiers) {
  const bool stopped = state_.with([&](State& state) {
    state.stop = stop;
    state.tiers = &tiers;
    return state.stopped;
  });
  if (stopped) stop();
}

void ServingSignals::on_stop() {
  const std::function<void()> stop = state_.with([](State& state) {
    state.stopped = true;
    return state.stop;
  });
  if (stop) stop();
}

// Everything else in the file waits for the next start.
void ServingSignals::on_hangup() {
  TierStack* const tiers = state_.with([](State& state) { return state.tiers; });
  if (tiers == nullptr) return;
  const Result<size_t> nodes = take_nodes(settings_, *tiers);
  if (nodes) {
    log_info("reloaded: the zone has " + std::to_string(*nodes) + " nodes");
  } else {
    log_error("the zone's nodes stay as they are: " + nodes.error().message);
  }
}

}  // namespace thaw
