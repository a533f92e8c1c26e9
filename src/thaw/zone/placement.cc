// SPDX-License-Identifier: Apache-2.0
//
// The scores are made with std::log, which may differ in the last bit from one C library to
// another. That matters only where two scores of a slot are equal to 15 digits, and costs one
// misplaced stripe then.
//
// Why the bounds always hold. With R partitions left and c_i slots free at node i, the rest can be
// placed (n distinct nodes a partition) if and only if the sum of min(c_i, R) is at least n * R
// (Gale and Ryser). Call a node wide if c_i >= R. Taking a node that is not wide lowers the sum by
// one, a wide one's part falls by one whether it is taken or not, and n * R falls by n. So the
// surplus of the sum falls by the wide nodes that are passed over, and a partition must take at
// least (wide - surplus) of them. This binds only when the bounds are tight; else it is zero.
#include "thaw/zone/placement.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "thaw/base/check.h"
#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr int kPartitionBits = 12;
static_assert(kPartitions == 1U << kPartitionBits);
static_assert(kZoneNodesMax < Placement::kNoNode);

/// The last step of SplitMix64: every bit of the result depends on every bit of the input.
uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

double score(uint64_t name_hash, double weight, uint32_t partition, unsigned slot) {
  const uint64_t hash = mix(name_hash ^ mix(uint64_t{partition} * kPartitions + slot + 1));
  const double uniform = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
  return -weight / std::log(uniform);
}

/// How many of a chunk's slots each node gets on average: in proportion to its weight, but at most
/// one, and what that leaves goes to the others.
std::vector<double> shares_of(const std::vector<double>& weights, unsigned slots) {
  std::vector<double> shares(weights.size(), 0);
  double slots_left = std::min<double>(slots, static_cast<double>(weights.size()));
  std::vector<size_t> heaviest_first(weights.size());
  std::iota(heaviest_first.begin(), heaviest_first.end(), size_t{0});
  std::sort(heaviest_first.begin(), heaviest_first.end(), [&](size_t a, size_t b) {
    return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
  });
  // Sums from the lightest up: no difference of large weights loses a small one.
  std::vector<double> weight_left(weights.size());
  double sum = 0;
  for (size_t i = weights.size(); i-- > 0;) weight_left[i] = sum += weights[heaviest_first[i]];
  for (size_t i = 0; i < weights.size(); ++i) {
    const size_t node = heaviest_first[i];
    shares[node] = std::min(slots_left * (weights[node] / weight_left[i]), 1.0);
    slots_left -= shares[node];
  }
  return shares;
}

struct Candidate {
  std::string_view name;
  uint64_t name_hash = 0;
  double weight = 0;
  uint32_t left = 0;        // of its bound
  Placement::Node place{};  // in the caller's list
  bool taken = false;       // by an earlier slot of the partition
};

/// Fills one partition after the other; keeps its memory between them.
class PartitionPlacer {
 public:
  /// The candidates in the order of their names. Borrows them.
  explicit PartitionPlacer(std::vector<Candidate>& candidates) : candidates_(candidates) {}

  /// `remaining` counts this partition. There are at least as many candidates as slots.
  void place(uint32_t partition, uint32_t remaining, std::span<Placement::Node> slots) {
    remaining_ = remaining;
    const int64_t wide_needed = begin(partition, slots.size());
    int64_t wide_left = wide_needed;
    only_wide_ = wide_left == static_cast<int64_t>(slots.size());
    best_.assign(slots.size(), nullptr);
    for (size_t slot = 0; slot < slots.size(); ++slot) find_best(slot);
    for (size_t left = slots.size(); left != 0; --left) {
      size_t chosen = SIZE_MAX;
      for (size_t slot = 0; slot < slots.size(); ++slot) {
        if (best_[slot] == nullptr) continue;
        if (chosen == SIZE_MAX || score_of(*best_[slot], slot) > score_of(*best_[chosen], chosen)) {
          chosen = slot;
        }
      }
      CHECK(chosen != SIZE_MAX);
      Candidate* const winner = best_[chosen];
      if (winner->left >= remaining_ && wide_left > 0) --wide_left;
      winner->taken = true;
      --winner->left;
      slots[chosen] = winner->place;
      done_[chosen] = true;
      const bool only_wide = left > 1 && wide_left == static_cast<int64_t>(left - 1);
      const bool narrowed = only_wide && !only_wide_;
      only_wide_ = only_wide;
      for (size_t slot = 0; slot < slots.size(); ++slot) {
        if (narrowed || best_[slot] == winner) find_best(slot);
      }
    }
  }

 private:
  /// Makes the scores; returns how many wide candidates the partition has to take.
  int64_t begin(uint32_t partition, size_t slots) {
    slots_ = slots;
    done_.assign(slots, false);
    scores_.resize(candidates_.size() * slots);
    int64_t surplus = -static_cast<int64_t>(slots) * remaining_;
    int64_t wide = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) {
      Candidate& candidate = candidates_[i];
      candidate.taken = false;
      surplus += std::min(candidate.left, remaining_);
      wide += candidate.left >= remaining_ ? 1 : 0;
      for (size_t slot = 0; slot < slots; ++slot) {
        scores_[i * slots + slot] =
            score(candidate.name_hash, candidate.weight, partition, static_cast<unsigned>(slot));
      }
    }
    CHECK(surplus >= 0);
    return std::max<int64_t>(0, wide - surplus);
  }

  double score_of(const Candidate& candidate, size_t slot) const {
    return scores_[static_cast<size_t>(&candidate - candidates_.data()) * slots_ + slot];
  }

  void find_best(size_t slot) {
    best_[slot] = nullptr;
    if (done_[slot]) return;
    for (Candidate& candidate : candidates_) {
      if (candidate.taken || candidate.left == 0) continue;
      if (only_wide_ && candidate.left < remaining_) continue;
      if (best_[slot] == nullptr || score_of(candidate, slot) > score_of(*best_[slot], slot)) {
        best_[slot] = &candidate;
      }
    }
  }

  std::vector<Candidate>& candidates_;
  std::vector<double> scores_;  // by candidate, then slot
  std::vector<Candidate*> best_;
  std::vector<bool> done_;
  size_t slots_ = 0;
  uint32_t remaining_ = 0;
  bool only_wide_ = false;
};

}  // namespace

uint32_t Placement::partition_of(const ChunkId& chunk) {
  static_assert(kPartitionBits > 8 && kPartitionBits <= 16);
  const auto high = std::to_integer<uint32_t>(chunk.digest[0]);
  const auto low = std::to_integer<uint32_t>(chunk.digest[1]);
  return (high << 8 | low) >> (16 - kPartitionBits);
}

Result<Placement> Placement::create(std::span<const WeightedNode> nodes, unsigned slots) {
  if (nodes.size() > kZoneNodesMax) {
    return fail(ErrorCode::kInvalid, "a zone of " + std::to_string(nodes.size()) +
                                         " nodes: at most " + std::to_string(kZoneNodesMax) +
                                         " can be named");
  }
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const WeightedNode& node = nodes[i];
    if (!std::isfinite(node.weight) || node.weight <= 0) {
      return fail(ErrorCode::kInvalid, "zone node " + quote(node.name) + " needs a weight above 0");
    }
    candidates.push_back({node.name, XXH3_64bits(node.name.data(), node.name.size()), node.weight,
                          0, static_cast<Node>(i)});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.name < b.name; });
  const auto twin =
      std::adjacent_find(candidates.begin(), candidates.end(),
                         [](const Candidate& a, const Candidate& b) { return a.name == b.name; });
  if (twin != candidates.end()) {
    return fail(ErrorCode::kInvalid, "two zone nodes have the name " +
                                         quote(std::string(twin->name)) +
                                         "; a name is what stripes are placed by");
  }

  Placement placement(slots);
  placement.table_.assign(size_t{kPartitions} * slots, kNoNode);
  placement.bounds_.assign(nodes.size(), 0);
  std::vector<double> weights;
  for (const Candidate& candidate : candidates) weights.push_back(candidate.weight);
  const std::vector<double> shares = shares_of(weights, slots);
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double bound = std::ceil((1 + kPlacementSlack) * shares[i] * kPartitions);
    candidates[i].left = static_cast<uint32_t>(std::min<double>(bound, kPartitions));
    placement.bounds_[candidates[i].place] = candidates[i].left;
  }
  const size_t filled = std::min<size_t>(slots, nodes.size());
  PartitionPlacer placer(candidates);
  for (uint32_t partition = 0; partition < kPartitions && filled != 0; ++partition) {
    placer.place(partition, kPartitions - partition,
                 std::span(placement.table_).subspan(size_t{partition} * slots, filled));
  }
  return placement;
}

}  // namespace thaw
