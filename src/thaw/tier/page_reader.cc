// SPDX-License-Identifier: Apache-2.0
#include "thaw/tier/page_reader.h"

#include <algorithm>
#include <cstring>
#include <latch>
#include <optional>

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/chunk/sealed_chunk.h"

namespace thaw {
namespace {

// Bounds the chunks that one read holds at once, whatever the size of the read.
constexpr uint64_t kStepPages = 1024;

struct Run {
  uint64_t page = 0;
  PageLocation location;
};

// The distinct chunks of a step: few, so a linear search is the fastest map.
class ChunkSet {
 public:
  void add(uint32_t chunk) {
    if (std::find(numbers_.begin(), numbers_.end(), chunk) == numbers_.end()) {
      numbers_.push_back(chunk);
    }
  }

  Result<void> fetch(const Manifest& manifest, ChunkSource& source) {
    std::vector<std::optional<Result<ChunkRef>>> results(numbers_.size());
    std::latch arrived(static_cast<ptrdiff_t>(numbers_.size()));
    for (size_t i = 0; i < numbers_.size(); ++i) {
      const ChunkRequest request = request_for(manifest, numbers_[i], Priority::kFault);
      if (ChunkRef hit = source.lookup(request.id)) {
        results[i] = std::move(hit);
        arrived.count_down();
        continue;
      }
      source.fetch(request, [&results, &arrived, i](Result<ChunkRef> result) {
        results[i] = std::move(result);
        arrived.count_down();
      });
    }
    arrived.wait();
    for (std::optional<Result<ChunkRef>>& result : results) {
      if (!*result) return fail(std::move(*result).error());
      chunks_.push_back(std::move(**result));
    }
    return {};
  }

  ByteSpan ciphertext(uint32_t chunk) const {
    const auto found = std::find(numbers_.begin(), numbers_.end(), chunk);
    return chunks_[static_cast<size_t>(found - numbers_.begin())]->ciphertext();
  }

 private:
  std::vector<uint32_t> numbers_;
  std::vector<ChunkRef> chunks_;
};

}  // namespace

ChunkRequest request_for(const Manifest& manifest, uint32_t chunk, Priority priority) {
  const ChunkEntry& entry = manifest.clear.chunks[chunk];
  return {manifest.clear.root_id, entry.id, entry.pages, priority};
}

CtrCipher PageReader::take_cipher() const {
  std::optional<CtrCipher> idle = idle_ciphers_.with([](auto& ciphers) {
    std::optional<CtrCipher> taken;
    if (!ciphers.empty()) {
      taken = std::move(ciphers.back());
      ciphers.pop_back();
    }
    return taken;
  });
  return idle ? std::move(*idle) : CtrCipher();
}

void PageReader::return_cipher(CtrCipher cipher) const {
  idle_ciphers_.with([&](auto& ciphers) { ciphers.push_back(std::move(cipher)); });
}

Result<void> PageReader::read(uint64_t offset, MutableByteSpan out) const {
  CHECK(offset <= image_.bytes && out.size() <= image_.bytes - offset);
  CipherLoan loan(*this);
  while (!out.empty()) {
    const uint64_t step_end = align_down(offset, kPageBytes) + kStepPages * kPageBytes;
    const size_t step = static_cast<size_t>(std::min<uint64_t>(out.size(), step_end - offset));
    TRY(read_step(offset, out.first(step), loan.cipher));
    offset += step;
    out = out.subspan(step);
  }
  return {};
}

Result<void> PageReader::read_step(uint64_t offset, MutableByteSpan out, CtrCipher& cipher) const {
  const uint64_t first_page = offset / kPageBytes;
  const uint64_t end_page = pages_for(offset + out.size());
  std::vector<Run> runs;
  ChunkSet chunks;
  image_.map.for_each_run(first_page, end_page - first_page,
                          [&](uint64_t page, const PageLocation& location) {
                            runs.push_back({page, location});
                            if (!location.zero) chunks.add(location.chunk);
                          });
  TRY(chunks.fetch(manifest_, source_));
  for (const Run& run : runs) {
    // The part of the run that was asked for, in bytes of the image.
    const uint64_t begin = std::max(offset, run.page * kPageBytes);
    const uint64_t end =
        std::min(offset + out.size(), (run.page + run.location.count) * kPageBytes);
    std::byte* target = out.data() + (begin - offset);
    if (run.location.zero) {
      std::memset(target, 0, end - begin);
      continue;
    }
    cipher.set_key(manifest_.chunk_key(run.location.chunk));
    const ByteSpan ciphertext = chunks.ciphertext(run.location.chunk);
    // The cipher's stream is addressed in blocks of 16 bytes, so the few bytes before one go
    // through a buffer of their own.
    uint64_t in_chunk = run.location.slot * kPageBytes + (begin - run.page * kPageBytes);
    uint64_t left = end - begin;
    if (const uint64_t skew = in_chunk % 16; skew != 0) {
      std::byte block[16];
      const uint64_t part = std::min<uint64_t>(left, 16 - skew);
      cipher.apply(in_chunk - skew, ciphertext.subspan(in_chunk - skew, 16), block);
      std::memcpy(target, block + skew, part);
      in_chunk += part;
      target += part;
      left -= part;
    }
    if (left > 0) cipher.apply(in_chunk, ciphertext.subspan(in_chunk, left), target);
  }
  return {};
}

}  // namespace thaw
