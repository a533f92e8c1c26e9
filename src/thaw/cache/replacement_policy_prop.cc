// SPDX-License-Identifier: Apache-2.0
//
// The policies against models written as plainly as the papers tell them, over random requests,
// drops and pins: the same victim, every time.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "thaw/cache/lru_k_policy.h"
#include "thaw/cache/replacement_policy.h"
#include "thaw/cache/s3_fifo_policy.h"

namespace thaw {
namespace {

using Pins = std::set<uint32_t>;

/// What every model has: the calls of a policy, over lists searched from end to end.
class Model {
 public:
  virtual ~Model() = default;
  virtual void inserted(uint32_t slot, uint64_t key) = 0;
  virtual void hit(uint32_t slot) = 0;
  virtual void removed(uint32_t slot) = 0;
  virtual std::optional<uint32_t> evict(const Pins& pins) = 0;
};

class LruModel final : public Model {
 public:
  void inserted(uint32_t slot, uint64_t /*key*/) override { order_.push_back(slot); }
  void hit(uint32_t slot) override {
    order_.remove(slot);
    order_.push_back(slot);
  }
  void removed(uint32_t slot) override { order_.remove(slot); }
  std::optional<uint32_t> evict(const Pins& pins) override {
    for (const uint32_t slot : order_) {
      if (pins.contains(slot)) continue;
      order_.remove(slot);
      return slot;
    }
    return std::nullopt;
  }

 private:
  std::list<uint32_t> order_;  // oldest first
};

/// The pushes of a bounded queue, the newest last; taken keys leave a hole that ages like a key.
template <typename Value>
class HistoryModel {
 public:
  void remember(uint64_t key, Value value, size_t limit) {
    take(key);
    while (entries_.size() >= limit) entries_.pop_front();
    entries_.push_back({{key, value}});
  }
  std::optional<Value> take(uint64_t key) {
    for (auto& entry : entries_) {
      if (!entry || entry->first != key) continue;
      const Value value = entry->second;
      entry.reset();
      return value;
    }
    return std::nullopt;
  }

 private:
  std::list<std::optional<std::pair<uint64_t, Value>>> entries_;
};

class LruKModel final : public Model {
 public:
  LruKModel(uint64_t period, size_t history_max) : period_(period), history_max_(history_max) {}
  void inserted(uint32_t slot, uint64_t key) override {
    ++now_;
    blocks_[slot] = {key, now_, history_.take(key).value_or(0), now_};
  }
  void hit(uint32_t slot) override {
    ++now_;
    Block& block = blocks_.at(slot);
    if (now_ - block.last > period_) {
      block.second = block.last;
      block.recent = now_;
    }
    block.last = now_;
  }
  void removed(uint32_t slot) override { blocks_.erase(slot); }
  std::optional<uint32_t> evict(const Pins& pins) override {
    std::optional<uint32_t> chosen;
    for (const bool inside_period : {false, true}) {
      for (const auto& [slot, block] : blocks_) {
        if (pins.contains(slot) || (now_ - block.last < period_) != inside_period) continue;
        if (!chosen || before(block, blocks_.at(*chosen), inside_period)) chosen = slot;
      }
      if (chosen) break;
    }
    if (!chosen) return std::nullopt;
    history_.remember(blocks_.at(*chosen).key, blocks_.at(*chosen).recent, history_max_);
    blocks_.erase(*chosen);
    return chosen;
  }

 private:
  struct Block {
    uint64_t key, recent, second, last;
  };
  static bool before(const Block& a, const Block& b, bool inside_period) {
    if (inside_period) return a.last < b.last;
    return std::pair(a.second, a.recent) < std::pair(b.second, b.recent);
  }
  const uint64_t period_;
  const size_t history_max_;
  uint64_t now_ = 0;
  std::map<uint32_t, Block> blocks_;
  HistoryModel<uint64_t> history_;
};

class S3FifoModel final : public Model {
 public:
  void inserted(uint32_t slot, uint64_t key) override {
    (ghosts_.take(key) ? main_ : small_).push_back({slot, key, 0});
  }
  void hit(uint32_t slot) override {
    for (auto* queue : {&small_, &main_}) {
      for (Object& object : *queue) {
        if (object.slot == slot) object.frequency = std::min(object.frequency + 1, 3);
      }
    }
  }
  void removed(uint32_t slot) override {
    const auto is_it = [&](const Object& object) { return object.slot == slot; };
    small_.remove_if(is_it);
    main_.remove_if(is_it);
  }
  std::optional<uint32_t> evict(const Pins& pins) override {
    // The oldest that are pinned and have no more to give are set aside, and put back in the end.
    std::list<Object> small_aside;
    std::list<Object> main_aside;
    std::optional<uint32_t> victim;
    while (!victim && !(small_.empty() && main_.empty())) {
      const size_t small_size = small_.size() + small_aside.size();
      const size_t size = small_size + main_.size() + main_aside.size();
      const bool from_small = main_.empty() || (!small_.empty() && small_size * 10 >= size);
      std::list<Object>& queue = from_small ? small_ : main_;
      Object object = queue.front();
      queue.pop_front();
      if (from_small && object.frequency > 1) {
        main_.push_back({object.slot, object.key, 0});
      } else if (!from_small && object.frequency > 0) {
        --object.frequency;
        main_.push_back(object);
      } else if (pins.contains(object.slot)) {
        (from_small ? small_aside : main_aside).push_back(object);
      } else {
        victim = object.slot;
        if (from_small) ghosts_.remember(object.key, 0, std::max<size_t>(size - 1, 1));
      }
    }
    small_.splice(small_.begin(), small_aside);
    main_.splice(main_.begin(), main_aside);
    return victim;
  }

 private:
  struct Object {
    uint32_t slot;
    uint64_t key;
    int frequency;
  };
  std::list<Object> small_;  // oldest first
  std::list<Object> main_;
  HistoryModel<int> ghosts_;
};

/// Requests, drops and pins at random over few keys; every victim is resident and not pinned, is
/// the model's victim, and the counts agree. About `pin_percent` of the slots are pinned at an
/// eviction.
void drive(ReplacementPolicy& policy, Model& model, uint32_t capacity) {
  const auto keys = *rc::gen::inRange<uint64_t>(1, capacity * 3 + 2);
  const auto pin_percent = *rc::gen::element(0, 0, 10, 60, 100);
  const auto moves = *rc::gen::scale(
      8, rc::gen::container<std::vector<std::pair<uint32_t, uint64_t>>>(
             rc::gen::pair(rc::gen::inRange<uint32_t>(0, 100), rc::gen::arbitrary<uint64_t>())));
  std::map<uint64_t, uint32_t> slot_of;
  std::map<uint32_t, uint64_t> key_of;
  for (const auto& [kind, random] : moves) {
    // Small keys are asked for more often.
    const uint64_t key = std::min(random % keys, (random >> 32) % keys);
    const auto found = slot_of.find(key);
    if (kind < 8) {
      if (found == slot_of.end()) continue;
      policy.removed(found->second);
      model.removed(found->second);
      key_of.erase(found->second);
      slot_of.erase(found);
    } else if (found != slot_of.end()) {
      policy.hit(found->second);
      model.hit(found->second);
    } else {
      uint32_t slot = 0;
      while (key_of.contains(slot)) ++slot;
      if (slot == capacity) {
        Pins pins;
        for (uint32_t i = 0; i < capacity; ++i) {
          if ((random >> (i % 50)) % 100 < static_cast<uint64_t>(pin_percent)) pins.insert(i);
        }
        const auto victim = policy.evict([&](uint32_t at) { return pins.contains(at); });
        RC_ASSERT(victim == model.evict(pins));
        RC_ASSERT(victim.has_value() == (pins.size() < capacity));
        if (!victim) continue;
        RC_ASSERT(key_of.contains(*victim) && !pins.contains(*victim));
        slot = *victim;
        slot_of.erase(key_of[slot]);
        key_of.erase(slot);
      }
      policy.inserted(slot, key);
      model.inserted(slot, key);
      slot_of[key] = slot;
      key_of[slot] = key;
    }
    RC_ASSERT(policy.size() == key_of.size());
  }
  // What is left leaves in the same order.
  while (!key_of.empty()) {
    const auto victim = policy.evict([](uint32_t) { return false; });
    RC_ASSERT(victim.has_value());
    RC_ASSERT(victim == model.evict({}));
    RC_ASSERT(key_of.erase(*victim) == 1u);
  }
}

uint32_t any_capacity() { return *rc::gen::inRange<uint32_t>(1, 24); }

RC_GTEST_PROP(LruPolicy, IsAList, ()) {
  const uint32_t capacity = any_capacity();
  LruModel model;
  drive(*make_policy(PolicyKind::kLru, capacity), model, capacity);
}

RC_GTEST_PROP(LruKPolicy, IsThePaper, ()) {
  const uint32_t capacity = any_capacity();
  const LruKPolicy::Options options{*rc::gen::element(0u, 1u, 2u, 8u),
                                    *rc::gen::element(0u, 1u, 3u)};
  LruKPolicy policy(capacity, options);
  LruKModel model(policy.correlated_period(),
                  std::max<size_t>(capacity * options.history_factor, 1));
  drive(policy, model, capacity);
}

RC_GTEST_PROP(S3FifoPolicy, IsThePaper, ()) {
  const uint32_t capacity = any_capacity();
  S3FifoModel model;
  drive(*make_policy(PolicyKind::kS3Fifo, capacity), model, capacity);
}

}  // namespace
}  // namespace thaw
