// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <thread>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

/// What is configured and whether it answers. Looks, changes nothing, disturbs no running process.
class TierStatus {
 public:
  TierStatus(const Settings& settings, Output& out) : settings_(settings), out_(out) {}

  Result<void> show() {
    show_memory();
    if (settings_.config.tiers.local) show_local(settings_.config.tiers.local->cache);
    if (settings_.config.tiers.zone) TRY(show_zone(*settings_.config.tiers.zone));
    const Result<void> origin = show_origin();
    out_.say(table_.text());
    return origin;
  }

 private:
  void show_memory() {
    const Config& config = settings_.config;
    table_.add({"memory", "restore " + human_bytes(config.restore_memory_bytes) + ", mount " +
                              human_bytes(config.mount_memory_bytes) + " a process, " +
                              to_string(config.tiers.memory.policy)});
    JsonObject object;
    object.set("restore_bytes", config.restore_memory_bytes)
        .set("mount_bytes", config.mount_memory_bytes);
    out_.result().set("memory", object);
  }

  void show_local(const DiskCacheOptions& options) {
    JsonObject object;
    object.set("path", options.path);
    const Result<DiskCacheInspection> found = inspect_disk_cache(options.path);
    if (!found) {
      const bool fresh = found.error().code == ErrorCode::kNotFound;
      table_.add({"local", fresh ? options.path + ": not made yet" : found.error().message});
      object.set("error", to_string(found.error().code)).set("message", found.error().message);
    } else {
      const uint64_t slots = found->geometry.slots;
      std::string text = options.path + ": " + std::to_string(found->slots_used) + " of " +
                         format_count(slots, "slot") + " (" +
                         format_share(found->slots_used, slots) + "), " +
                         human_bytes(found->chunk_bytes);
      if (found->headers_damaged != 0) {
        text += ", " + std::to_string(found->headers_damaged) + " damaged";
      }
      text += found->locked ? ", used by process " + std::to_string(found->owner_pid)
                            : ", used by no process";
      table_.add({"local", text});
      object.set("slots", slots)
          .set("slots_used", found->slots_used)
          .set("bytes", found->chunk_bytes)
          .set("headers_damaged", found->headers_damaged)
          .set("in_use", found->locked)
          .set("owner_pid", found->owner_pid);
    }
    out_.result().set("local", object);
  }

  Result<void> show_zone(const ZoneOptions& options) {
    ASSIGN_OR_RETURN(const auto zone, ZoneClient::create(options));
    const Result<void> waited = wait_for_zone(*zone);
    const ZoneStatus status = zone->status();
    const size_t up = status.nodes_up();
    std::vector<JsonObject> nodes;
    for (const ZoneNodeStatus& node : status.nodes) {
      nodes.emplace_back()
          .set("name", node.name)
          .set("host", node.host)
          .set("port", node.port)
          .set("weight", node.weight)
          .set("state", to_string(node.state));
    }
    const unsigned needed = options.data_stripes;
    table_.add({"zone", std::to_string(up) + " of " + format_count(status.nodes.size(), "node") +
                            " up, " + std::to_string(needed) + " + " +
                            std::to_string(options.parity_stripes) + " stripes: " +
                            (up < needed ? "not usable"
                             : waited    ? "good"
                                         : "degraded")});
    for (const ZoneNodeStatus& node : status.nodes) {
      table_.add({"", node.name + ": " + to_string(node.state)});
    }
    JsonObject object;
    object.set("data_stripes", needed)
        .set("parity_stripes", options.parity_stripes)
        .set("nodes_up", up)
        .set("usable", up >= needed)
        .set("nodes", nodes);
    out_.result().set("zone", object);
    return {};
  }

  /// The one tier that nothing can stand in for: its failure is the verb's.
  Result<void> show_origin() {
    JsonObject object;
    const auto store = open_store(settings_);
    Result<void> outcome;
    double milliseconds = 0;
    if (store) {
      const Clock::time_point begin = Clock::now();
      const Result<uint64_t> root = Catalog(**store).active_root();
      milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
      if (!root) outcome = fail(root.error());
    } else {
      outcome = fail(store.error());
    }
    const std::string place = store ? (*store)->describe() : settings_.store.value_or("no store");
    table_.add({"origin", place + (outcome ? ": answers" : ": " + outcome.error().message)});
    object.set("store", place).set("usable", outcome.has_value());
    if (outcome) object.set("milliseconds", milliseconds);
    if (!outcome) object.set("error", to_string(outcome.error().code));
    out_.result().set("origin", object);
    return outcome;
  }

  const Settings& settings_;
  Output& out_;
  TextTable table_;
};

}  // namespace

Result<void> wait_for_zone(const ZoneClient& zone) {
  constexpr std::chrono::milliseconds kConnectMax{1500};
  constexpr std::chrono::milliseconds kPoll{10};
  const Clock::time_point end = Clock::now() + kConnectMax;
  while (true) {
    const ZoneStatus status = zone.status();
    std::string down;
    for (const ZoneNodeStatus& node : status.nodes) {
      if (node.state != ZoneNodeState::kUp) down += (down.empty() ? "" : ", ") + node.name;
    }
    if (down.empty()) return {};
    if (Clock::now() >= end) {
      return fail(ErrorCode::kUnavailable, "these nodes of the zone do not answer: " + down);
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Result<void> run_tier_status(const Settings& settings, Output& out) {
  return TierStatus(settings, out).show();
}

}  // namespace thaw
