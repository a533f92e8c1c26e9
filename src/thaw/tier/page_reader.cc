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

/// How long a read waits for a chunk that no tier brings.
constexpr std::chrono::seconds kFetchTimeMax{30};

// The distinct chunks of a step: few, so a linear search is the fastest map.
class ChunkSet {
 public:
  void add(uint32_t chunk) {
    if (std::find(numbers_.begin(), numbers_.end(), chunk) == numbers_.end()) {
      numbers_.push_back(chunk);
    }
  }

  Result<void> fetch(const Manifest& manifest, ChunkSource& source, uint64_t flow) {
    std::vector<std::optional<Result<ChunkRef>>> results(numbers_.size());
    const Deadline deadline = deadline_in(kFetchTimeMax);
    std::latch arrived(static_cast<ptrdiff_t>(numbers_.size()));
    for (size_t i = 0; i < numbers_.size(); ++i) {
      ChunkRequest request = request_for(manifest, numbers_[i], Priority::kFault);
      request.flow = flow;
      request.deadline = deadline;
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
  return {.root_id = manifest.clear.root_id,
          .id = entry.id,
          .pages = entry.pages,
          .priority = priority};
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
  if (out.empty()) return {};
  CipherLoan loan(*this);
  if (read_hit(offset, out, loan.cipher)) return {};
  while (!out.empty()) {
    const uint64_t step_end = align_down(offset, kPageBytes) + kStepPages * kPageBytes;
    const size_t step = static_cast<size_t>(std::min<uint64_t>(out.size(), step_end - offset));
    TRY(read_step(offset, out.first(step), loan.cipher));
    offset += step;
    out = out.subspan(step);
  }
  return {};
}

// The common case, a page or a few of one run whose chunk is in memory, costs one lookup and no
// memory of its own. False: not this case, nothing was read.
bool PageReader::read_hit(uint64_t offset, MutableByteSpan out, CtrCipher& cipher) const {
  const uint64_t page = offset / kPageBytes;
  const Run run{page, image_.map.locate(page)};
  if (offset + out.size() > run.end()) return false;
  ChunkRef chunk;
  if (!run.location.zero) {
    chunk = source_.lookup(manifest_.clear.chunks[run.location.chunk].id);
    if (!chunk) return false;
  }
  copy_out(run, chunk ? chunk->ciphertext() : ByteSpan(), offset, out, cipher);
  return true;
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
  TRY(chunks.fetch(manifest_, source_, reinterpret_cast<uintptr_t>(this)));
  for (const Run& run : runs) {
    // The part of the run that was asked for, in bytes of the image.
    const uint64_t begin = std::max(offset, run.page * kPageBytes);
    const uint64_t end = std::min(offset + out.size(), run.end());
    copy_out(run, run.location.zero ? ByteSpan() : chunks.ciphertext(run.location.chunk), begin,
             out.subspan(begin - offset, end - begin), cipher);
  }
  return {};
}

// The run's bytes from `begin`, which both are inside the run.
void PageReader::copy_out(const Run& run, ByteSpan ciphertext, uint64_t begin, MutableByteSpan out,
                          CtrCipher& cipher) const {
  if (run.location.zero) {
    std::memset(out.data(), 0, out.size());
    return;
  }
  cipher.set_key(manifest_.chunk_key(run.location.chunk));
  std::byte* target = out.data();
  uint64_t left = out.size();
  // The cipher's stream is addressed in blocks of 16 bytes, so the few bytes before one go
  // through a buffer of their own.
  uint64_t in_chunk = run.location.slot * kPageBytes + (begin - run.page * kPageBytes);
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

}  // namespace thaw
