// SPDX-License-Identifier: Apache-2.0
//
// SlotList: a doubly linked list of slot numbers without a heap allocation per element. Several
// lists share one SlotLinks, as long as a slot stands in one of them at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/base/check.h"

namespace thaw {

/// No slot: the end of a list.
inline constexpr uint32_t kNoSlot = UINT32_MAX;

/// 8 bytes a slot.
class SlotLinks {
 public:
  explicit SlotLinks(uint32_t slots) : links_(slots) {}

 private:
  friend class SlotList;
  struct Link {
    uint32_t older = kNoSlot;
    uint32_t newer = kNoSlot;
  };
  std::vector<Link> links_;
};

/// One thread at a time. Borrows the links. Every operation is O(1).
class SlotList {
 public:
  explicit SlotList(SlotLinks& links) : links_(links.links_) {}

  uint32_t size() const { return size_; }
  uint32_t newest() const { return newest_; }
  uint32_t oldest() const { return oldest_; }
  /// The neighbour that was pushed after `slot`; kNoSlot for the newest.
  uint32_t newer(uint32_t slot) const { return links_[slot].newer; }

  void push_newest(uint32_t slot) {
    links_[slot] = {newest_, kNoSlot};
    (newest_ == kNoSlot ? oldest_ : links_[newest_].newer) = slot;
    newest_ = slot;
    ++size_;
  }
  /// `slot` is in this list.
  void remove(uint32_t slot) {
    DCHECK(size_ > 0);
    const SlotLinks::Link link = links_[slot];
    (link.older == kNoSlot ? oldest_ : links_[link.older].newer) = link.newer;
    (link.newer == kNoSlot ? newest_ : links_[link.newer].older) = link.older;
    --size_;
  }

 private:
  std::vector<SlotLinks::Link>& links_;
  uint32_t newest_ = kNoSlot;
  uint32_t oldest_ = kNoSlot;
  uint32_t size_ = 0;
};

}  // namespace thaw
