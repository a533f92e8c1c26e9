// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/fill_units.h"

#include <algorithm>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/stage_clock.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/resume/slot_install.h"

namespace thaw {
namespace {

void append_cut(std::vector<PageRun>& runs, PageRun run) {
  while (run.count > 0) {
    const uint64_t piece = std::min(run.count, kZeroRunPagesMax);
    runs.push_back({run.page, piece});
    run = {run.page + piece, run.count - piece};
  }
}

// One chunk and all pages of the image that it holds.
class ChunkUnits final : public FillUnits {
 public:
  ChunkUnits(const ResumeImage& image, GuestMemory& memory) : image_(image), memory_(memory) {}

  uint32_t count() const override { return image_.chunk_count(); }

  std::optional<uint32_t> unit_of(uint64_t page) const override {
    const PageLocation location = image_.map().locate(page);
    if (location.zero) return std::nullopt;
    return location.chunk;
  }

  uint64_t first_page(uint32_t unit) const override {
    return image_.map().extents()[image_.extents_of(unit).front()].page;
  }

  std::vector<uint32_t> chunks_of(uint32_t unit) const override { return {unit}; }

  PlaceResult install_faulting(uint32_t unit, std::span<const ChunkRef> chunks, uint64_t page,
                               Scratch& scratch) const override {
    const PageLocation location = image_.map().locate(page);
    DCHECK(!location.zero && location.chunk == unit);
    scratch.cipher.set_key(image_.manifest().chunk_key(unit));
    {
      const StageClock clock(memory_.decrypt_ns());
      decrypt_pages(scratch.cipher, chunks[0]->ciphertext(), location.slot, 1,
                    scratch.plain.data());
    }
    const GatePass pass(memory_.gate());
    return memory_.place_faulting(page, scratch.plain.data());
  }

  PlaceResult install_rest(uint32_t unit, std::span<const ChunkRef> chunks,
                           Scratch& scratch) const override {
    scratch.cipher.set_key(image_.manifest().chunk_key(unit));
    return install_slots(memory_, chunks[0]->ciphertext(), image_.slots_of(unit), scratch);
  }

  std::vector<uint32_t> order() const override {
    std::vector<uint32_t> order;
    std::vector<bool> seen(count());
    for (const Extent& extent : image_.map().extents()) {
      if (seen[extent.chunk]) continue;
      seen[extent.chunk] = true;
      order.push_back(extent.chunk);
    }
    return order;
  }

  std::vector<PageRun> zero_runs() const override {
    std::vector<PageRun> runs;
    image_.map().for_each_run(0, image_.map().page_count(),
                              [&](uint64_t page, const PageLocation& location) {
                                if (location.zero) append_cut(runs, {page, location.count});
                              });
    return runs;
  }

 private:
  const ResumeImage& image_;
  GuestMemory& memory_;
};

// One huge page of the guest, assembled from all the chunks and gaps it spans.
class HugeUnits final : public FillUnits {
 public:
  HugeUnits(const ResumeImage& image, GuestMemory& memory)
      : image_(image), memory_(memory), unit_pages_(memory.unit_pages()) {}

  uint32_t count() const override {
    return static_cast<uint32_t>(image_.map().page_count() / unit_pages_);
  }

  std::optional<uint32_t> unit_of(uint64_t page) const override {
    const uint64_t first = align_down(page, unit_pages_);
    const PageLocation location = image_.map().locate(first);
    if (location.zero && location.count >= unit_pages_) return std::nullopt;
    return static_cast<uint32_t>(first / unit_pages_);
  }

  uint64_t first_page(uint32_t unit) const override { return uint64_t{unit} * unit_pages_; }

  std::vector<uint32_t> chunks_of(uint32_t unit) const override {
    std::vector<uint32_t> chunks;
    image_.map().for_each_run(first_page(unit), unit_pages_,
                              [&](uint64_t, const PageLocation& location) {
                                if (!location.zero) chunks.push_back(location.chunk);
                              });
    std::sort(chunks.begin(), chunks.end());
    chunks.erase(std::unique(chunks.begin(), chunks.end()), chunks.end());
    return chunks;
  }

  PlaceResult install_faulting(uint32_t unit, std::span<const ChunkRef> chunks, uint64_t,
                               Scratch& scratch) const override {
    build(unit, chunks, scratch);
    const GatePass pass(memory_.gate());
    return memory_.place_faulting(first_page(unit), scratch.plain.data());
  }

  PlaceResult install_rest(uint32_t unit, std::span<const ChunkRef> chunks,
                           Scratch& scratch) const override {
    if (memory_.is_present(first_page(unit))) return {};
    build(unit, chunks, scratch);
    const GatePass pass(memory_.gate());
    return memory_.place({first_page(unit), unit_pages_}, scratch.plain.data());
  }

  std::vector<uint32_t> order() const override {
    std::vector<uint32_t> order;
    for (uint32_t unit = 0; unit < count(); ++unit) {
      if (unit_of(first_page(unit))) order.push_back(unit);
    }
    return order;
  }

  std::vector<PageRun> zero_runs() const override {
    std::vector<PageRun> runs;
    for (uint32_t unit = 0; unit < count(); ++unit) {
      if (!unit_of(first_page(unit))) runs.push_back({first_page(unit), unit_pages_});
    }
    return runs;
  }

 private:
  void build(uint32_t unit, std::span<const ChunkRef> chunks, Scratch& scratch) const {
    const std::vector<uint32_t> numbers = chunks_of(unit);
    const uint64_t first = first_page(unit);
    image_.map().for_each_run(first, unit_pages_, [&](uint64_t page, const PageLocation& location) {
      std::byte* const target = scratch.plain.data() + (page - first) * kPageBytes;
      if (location.zero) {
        std::memset(target, 0, location.count * kPageBytes);
        return;
      }
      const auto found = std::lower_bound(numbers.begin(), numbers.end(), location.chunk);
      const Chunk& chunk = *chunks[static_cast<size_t>(found - numbers.begin())];
      scratch.cipher.set_key(image_.manifest().chunk_key(location.chunk));
      const StageClock clock(memory_.decrypt_ns());
      decrypt_pages(scratch.cipher, chunk.ciphertext(), location.slot,
                    static_cast<uint32_t>(location.count), target);
    });
  }

  const ResumeImage& image_;
  GuestMemory& memory_;
  const uint64_t unit_pages_;
};

}  // namespace

std::unique_ptr<FillUnits> make_fill_units(const ResumeImage& image, GuestMemory& memory) {
  if (memory.unit_pages() == 1) return std::make_unique<ChunkUnits>(image, memory);
  return std::make_unique<HugeUnits>(image, memory);
}

}  // namespace thaw
