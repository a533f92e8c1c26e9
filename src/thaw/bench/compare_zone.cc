// SPDX-License-Identifier: Apache-2.0
//
// zone_hit: chunks of 512 KiB read from five servers with the latency of a zone, cut 4+1 over 4+0,
// one after the other; until the ciphertext stands in one piece. zone_encode and zone_reconstruct:
// the arithmetic of a chunk.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <random>

#include "thaw/base/check.h"
#include "thaw/bench/paired.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/zone/encoded_chunk.h"
#include "thaw/zone/loopback_zone.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kPages = kChunkBytesDefault / kPageBytes;
constexpr unsigned kData = 4;

double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// One way of cutting, and its chunks in the zone.
class CutZone {
 public:
  CutZone(const LoopbackZone& servers, unsigned parity, uint32_t chunks) {
    zone_ = *ZoneClient::create(servers.options(1, parity));
    CHECK(wait_until_up(*zone_, servers.nodes()));
    Sha256 hasher;
    for (uint32_t i = 0; i < chunks; ++i) {
      auto bytes = std::make_shared<AlignedBuffer>(kChunkBytesDefault);
      std::mt19937_64 random(i);
      for (size_t at = 0; at < bytes->size(); at += 8) {
        const uint64_t word = random();
        std::memcpy(bytes->data() + at, &word, 8);
      }
      ids_.push_back(name_chunk(hasher, bytes->span()));
      std::promise<size_t> stored;
      zone_->put(ids_.back(), bytes->span(), bytes, [&](size_t n) { stored.set_value(n); });
      CHECK(stored.get_future().get() == kData + parity);
    }
  }

  /// p50 and p99 in us.
  std::vector<double> read(int reads) {
    std::vector<double> samples;
    for (int i = 0; i < reads; ++i) {
      const Clock::time_point begin = Clock::now();
      std::promise<std::unique_ptr<StripeSet>> came;
      zone_->get(ids_[static_cast<size_t>(i) % ids_.size()], kPages, kNoDeadline,
                 [&](std::unique_ptr<StripeSet> stripes) { came.set_value(std::move(stripes)); });
      std::unique_ptr<StripeSet> stripes = came.get_future().get();
      CHECK(stripes != nullptr);
      const auto chunk = ZoneClient::assemble(std::move(stripes));
      samples.push_back(us_since(begin));
      CHECK(chunk && chunk->size() == kChunkBytesDefault);
      if (i < static_cast<int>(ids_.size())) {
        Sha256 hasher;
        CHECK(verify_chunk(hasher, ids_[static_cast<size_t>(i)], chunk->span()));
      }
    }
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples[samples.size() * 99 / 100]};
  }

 private:
  std::unique_ptr<ZoneClient> zone_;
  std::vector<ChunkId> ids_;
};

std::vector<Comparison> bench_erasure(const BenchScale& scale) {
  const ReedSolomon code(kData, 1);
  AlignedBuffer bytes(kChunkBytesDefault);
  std::mt19937_64 random(1);
  for (std::byte& b : bytes.span()) b = static_cast<std::byte>(random());
  const size_t stripe = kChunkBytesDefault / kData;
  std::vector<ByteSpan> data;
  for (unsigned i = 0; i < kData; ++i) data.push_back(bytes.span().subspan(i * stripe, stripe));
  AlignedBuffer parity(stripe);
  AlignedBuffer missing(stripe);
  std::vector<double> encode, reconstruct;
  const int runs = scale.smoke ? 10 : 2000;
  for (int round = 0; round < scale.rounds(); ++round) {
    Clock::time_point begin = Clock::now();
    std::vector<MutableByteSpan> out{parity.span()};
    for (int i = 0; i < runs; ++i) code.encode(data, out);
    encode.push_back(us_since(begin) / runs);
    std::vector<ReedSolomon::Piece> present;
    for (unsigned i = 1; i < kData; ++i) present.push_back({i, data[i]});
    present.push_back({kData, parity.span()});
    std::vector<ReedSolomon::Missing> wanted{{0, missing.span()}};
    begin = Clock::now();
    for (int i = 0; i < runs; ++i) code.reconstruct(present, wanted);
    reconstruct.push_back(us_since(begin) / runs);
    CHECK(std::equal(data[0].begin(), data[0].end(), missing.span().begin()));
  }
  return {against_limit("zone_encode", "parity of a 512 KiB chunk, 4+1", "us", 60, false, encode),
          against_limit("zone_reconstruct", "a lost quarter of a 512 KiB chunk", "us", 60, false,
                        reconstruct)};
}

}  // namespace

std::vector<Comparison> bench_zone(const BenchScale& scale) {
  std::vector<Comparison> results = bench_erasure(scale);
  if (!MemcachedProcess::unavailable().empty()) return results;
  const auto servers = *LoopbackZone::start(kData + 1, {.memory_mib = 256, .threads = 1});
  const uint32_t chunks = scale.smoke ? 4 : 64;
  CutZone with_parity(*servers, 1, chunks);
  CutZone without(*servers, 0, chunks);
  const int reads = scale.smoke ? 20 : 2000;
  for (Comparison& result : compare_all(
           {{.name = "zone_hit_p50",
             .what = "chunk read from the zone, 4+1 over 4+0, median",
             .unit = "us",
             .target = 1.0},
            {.name = "zone_hit_p99", .what = "the same, p99", .unit = "us", .target = 0.6}},
           scale.rounds(), [&] { return with_parity.read(reads); },
           [&] { return without.read(reads); })) {
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace thaw
