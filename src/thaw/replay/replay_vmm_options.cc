// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/replay_vmm_options.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"

namespace nlohmann {

// Texts are taken for an optional as they are; null is its absence. Hexadecimal, because JSON holds
// only UTF-8 and a hostile handshake may hold anything.
template <>
struct adl_serializer<std::optional<std::string>> {
  static void to_json(json& out, const std::optional<std::string>& value) {
    out = value ? json(thaw::to_hex(thaw::as_bytes(*value))) : json(nullptr);
  }
  static void from_json(const json& in, std::optional<std::string>& value) {
    value.reset();
    if (in.is_null()) return;
    const auto bytes = thaw::from_hex(in.get<std::string>());
    if (!bytes) throw std::invalid_argument("raw_body is not hexadecimal");
    value = std::string(thaw::as_text(*bytes));
  }
};

// A trace travels as its own text format.
template <>
struct adl_serializer<thaw::PageTrace> {
  static void to_json(json& out, const thaw::PageTrace& trace) {
    out = thaw::format_page_trace(trace);
  }
  static void from_json(const json& in, thaw::PageTrace& trace) {
    auto parsed = thaw::parse_page_trace(in.get<std::string>());
    if (!parsed) throw std::invalid_argument(parsed.error().message);
    trace = std::move(*parsed);
  }
};

}  // namespace nlohmann

namespace thaw {
namespace {

using nlohmann::json;

template <typename E>
using Names = std::initializer_list<std::pair<E, const char*>>;

template <typename E>
void put_name(json& out, E value, Names<E> names) {
  for (const auto& [named, name] : names) {
    if (named == value) out = name;
  }
}

template <typename E>
void take_name(const json& in, E& value, Names<E> names) {
  const auto text = in.get<std::string>();
  for (const auto& [named, name] : names) {
    if (text == name) {
      value = named;
      return;
    }
  }
  throw std::invalid_argument("unknown name '" + text + "'");
}

}  // namespace

// The functions that nlohmann's lookup finds: they stand in the namespace of their types.
#define THAW_ENUM_NAMES(Enum, ...)                                                        \
  static void to_json(json& out, Enum value) { put_name<Enum>(out, value, __VA_ARGS__); } \
  static void from_json(const json& in, Enum& value) { take_name<Enum>(in, value, __VA_ARGS__); }

THAW_ENUM_NAMES(ReplayHandshake::Fields, {{ReplayHandshake::Fields::kV1_1, "v1.1"},
                                          {ReplayHandshake::Fields::kV1_7, "v1.7"},
                                          {ReplayHandshake::Fields::kV1_12, "v1.12"}})
THAW_ENUM_NAMES(ReplayHandshake::Delivery, {{ReplayHandshake::Delivery::kWhole, "whole"},
                                            {ReplayHandshake::Delivery::kTwoPieces, "two_pieces"},
                                            {ReplayHandshake::Delivery::kCut, "cut"},
                                            {ReplayHandshake::Delivery::kSilent, "silent"}})
THAW_ENUM_NAMES(ReplayHandshake::Passed, {{ReplayHandshake::Passed::kUffd, "uffd"},
                                          {ReplayHandshake::Passed::kMemfd, "memfd"},
                                          {ReplayHandshake::Passed::kDevNull, "dev_null"}})
THAW_ENUM_NAMES(ReplayTouching::Order, {{ReplayTouching::Order::kNone, "none"},
                                        {ReplayTouching::Order::kTrace, "trace"},
                                        {ReplayTouching::Order::kSequential, "sequential"},
                                        {ReplayTouching::Order::kPermutation, "permutation"},
                                        {ReplayTouching::Order::kRepeats, "repeats"}})
THAW_ENUM_NAMES(ReplayTouching::Check, {{ReplayTouching::Check::kOnTouch, "on_touch"},
                                        {ReplayTouching::Check::kAfterTrace, "after_trace"}})
THAW_ENUM_NAMES(ReplayVmmEvent::Kind, {{ReplayVmmEvent::Kind::kHandshakeSent, "handshake_sent"},
                                       {ReplayVmmEvent::Kind::kTouched, "touched"},
                                       {ReplayVmmEvent::Kind::kReport, "report"},
                                       {ReplayVmmEvent::Kind::kError, "error"}})
THAW_ENUM_NAMES(ReplayMapChange::Kind, {{ReplayMapChange::Kind::kRemove, "remove"},
                                        {ReplayMapChange::Kind::kRemoveByMap, "remove_by_map"},
                                        {ReplayMapChange::Kind::kUnmap, "unmap"}})

THAW_ENUM_NAMES(ReplayBacking, {{ReplayBacking::kUserfaultfd, "userfaultfd"},
                                {ReplayBacking::kPrivateFile, "private_file"},
                                {ReplayBacking::kRegions, "regions"},
                                {ReplayBacking::kPresent, "present"}})

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplayRegion, bytes, offset)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplayHandshake, fields, unknown_field,
                                                keep_socket_open, delivery, cut_at, delay_ms, fds,
                                                raw_body)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplayTouching, order, trace, replay_gaps, touches,
                                                write_percent, every_page, seed, threads, cores,
                                                check)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplayMapChange, kind, after_touches, page, count)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ReplayVmmOptions, socket_path, image_path, backing,
                                                mapped_path, overlay_path, loading_set, regions,
                                                page_bytes, hugetlb, event_remove, thread_id,
                                                handshake, touching, changes, random_removes,
                                                random_remove_pages_max, sigkill_after, exit_after,
                                                close_socket_after, stall_after, stall_ms,
                                                hold_before_touching, hold_before_check,
                                                hold_before_exit, wait_for_peer_close)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LatencySummary, count, mean_ns, p50_ns, p90_ns, p99_ns, p999_ns,
                                   max_ns)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PageMismatch, page, offset, expected, got, history)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReplayVmmReport, touches, writes, skipped, pages_touched,
                                   pages_removed, pages_checked, mismatch_count, mismatches,
                                   faults_minor, faults_major, touching_ns, from_handshake_ns,
                                   touched_at_ns, first_touch, repeat_touch, first_touch_ns,
                                   private_bytes, share_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ReplayVmmEvent, kind, report, error)

namespace {

template <typename T>
Result<T> decode(std::string_view text, const char* what) {
  try {
    return json::parse(text).get<T>();
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInvalid, std::string("cannot read the ") + what + ": " + error.what());
  }
}

tl::unexpected<Error> invalid(const std::string& why) {
  return fail(ErrorCode::kInvalid, "replay VMM options: " + why);
}

Result<void> validate_regions(const std::vector<ReplayRegion>& regions, uint64_t page_bytes) {
  if (regions.empty()) return invalid("there is no region");
  std::vector<ReplayRegion> sorted = regions;
  std::sort(sorted.begin(), sorted.end(),
            [](const ReplayRegion& a, const ReplayRegion& b) { return a.offset < b.offset; });
  uint64_t free_from = 0;
  for (const ReplayRegion& region : sorted) {
    if (region.bytes == 0 || region.bytes % page_bytes != 0 || region.offset % page_bytes != 0) {
      return invalid("a region is empty or not of whole pages");
    }
    if (region.offset < free_from) return invalid("two regions overlap in the image");
    if (region.offset > kTracePagesMax * kPageBytes || region.bytes > kTracePagesMax * kPageBytes) {
      return invalid("a region is too large");
    }
    free_from = region.offset + region.bytes;
  }
  return {};
}

}  // namespace

ReplayVmmOptions ReplayVmmOptions::firecracker(Generation generation) {
  ReplayVmmOptions options;
  options.handshake.fields = generation == Generation::kV1_1    ? ReplayHandshake::Fields::kV1_1
                             : generation == Generation::kV1_12 ? ReplayHandshake::Fields::kV1_12
                                                                : ReplayHandshake::Fields::kV1_7;
  options.handshake.keep_socket_open = generation == Generation::kV1_12;
  options.event_remove = generation >= Generation::kV1_11;
  return options;
}

Result<void> ReplayVmmOptions::validate() const {
  const bool served = backing == ReplayBacking::kUserfaultfd;
  if (served && socket_path.empty()) return invalid("socket_path is missing");
  if (!served && (page_bytes != kPageBytes || !changes.empty() || random_removes > 0)) {
    return invalid(
        "memory without a page server has pages of 4096 bytes and its map is not changed");
  }
  if (!served && wait_for_peer_close) {
    return invalid("wait_for_peer_close needs a page server");
  }
  if (!served && image_path.empty())
    return invalid("memory without a page server needs image_path");
  if (page_bytes != kPageBytes && page_bytes != 2 * kMiB)
    return invalid("page_bytes is not 4096 or 2 MiB");
  TRY(validate_regions(regions, page_bytes));
  if (touching.threads == 0 || touching.threads > kReplayVmmThreadsMax) {
    return invalid("threads must be 1 to " + std::to_string(kReplayVmmThreadsMax));
  }
  if (touching.write_percent > 100) return invalid("write_percent is above 100");
  if (touching.touches > kTraceEventsMax) return invalid("touches is above the limit of a trace");
  const bool touches_any = touching.order != ReplayTouching::Order::kNone || touching.every_page;
  if (touches_any && image_path.empty()) return invalid("to touch pages it needs image_path");
  for (const ReplayMapChange& change : changes) {
    if (change.count == 0 || change.count > kTracePagesMax || change.page > kTracePagesMax) {
      return invalid("a change of the map is empty or too large");
    }
  }
  if (random_removes > 0 && random_remove_pages_max == 0)
    return invalid("a random remove needs a page");
  if (wait_for_peer_close && !handshake.keep_socket_open) {
    return invalid("wait_for_peer_close needs keep_socket_open");
  }
  return {};
}

std::string encode_options(const ReplayVmmOptions& options) { return json(options).dump(); }

Result<ReplayVmmOptions> decode_options(std::string_view text) {
  ASSIGN_OR_RETURN(ReplayVmmOptions options, decode<ReplayVmmOptions>(text, "replay VMM options"));
  TRY(options.validate());
  return options;
}

std::string encode_event(const ReplayVmmEvent& event) { return json(event).dump(); }

Result<ReplayVmmEvent> decode_event(std::string_view text) {
  return decode<ReplayVmmEvent>(text, "output of the replay VMM");
}

}  // namespace thaw
