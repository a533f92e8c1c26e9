// SPDX-License-Identifier: Apache-2.0
//
// What a chunk costs in the zone: the arithmetic alone, placement, and the whole way to real
// servers on the loopback and back.
#include <benchmark/benchmark.h>

#include "thaw/zone/zone_fixture_test.h"

namespace thaw {
namespace {

constexpr uint32_t kPages = 128;

StripeShape shape_of(const benchmark::State& state) {
  return {static_cast<uint8_t>(state.range(0)), static_cast<uint8_t>(state.range(1))};
}

void encode_parity(benchmark::State& state) {
  const StripeShape shape = shape_of(state);
  const ReedSolomon code(shape.data, shape.parity);
  const TestChunk chunk = make_chunk(1, kPages);
  const size_t size = stripe_bytes(kPages, shape);
  AlignedBuffer parity(size * shape.parity);
  std::vector<ByteSpan> data;
  std::vector<MutableByteSpan> out;
  for (size_t i = 0; i < shape.data; ++i) {
    data.push_back(ByteSpan(*chunk.bytes).subspan(i * size, size));
  }
  for (size_t i = 0; i < shape.parity; ++i) out.push_back(parity.span().subspan(i * size, size));
  for (auto _ : state) {
    code.encode(data, out);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(chunk.bytes->size()));
}
BENCHMARK(encode_parity)->Args({4, 1})->Args({4, 2})->Args({16, 4})->Unit(benchmark::kMicrosecond);

void reconstruct_first_stripes(benchmark::State& state) {
  const StripeShape shape = shape_of(state);
  const ReedSolomon code(shape.data, shape.parity);
  const TestChunk chunk = make_chunk(1, kPages);
  const EncodedChunk encoded(chunk.id, *chunk.bytes, nullptr, shape, code);
  std::vector<ReedSolomon::Piece> present;
  for (unsigned i = shape.parity; i < shape.total(); ++i)
    present.push_back({i, encoded.payload(i)});
  std::vector<Bytes> room(shape.parity, Bytes(stripe_bytes(kPages, shape)));
  std::vector<ReedSolomon::Missing> missing;
  for (unsigned i = 0; i < shape.parity; ++i) missing.push_back({i, room[i]});
  for (auto _ : state) {
    code.reconstruct(present, missing);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(chunk.bytes->size()));
}
BENCHMARK(reconstruct_first_stripes)
    ->Args({4, 1})
    ->Args({4, 2})
    ->Args({16, 4})
    ->Unit(benchmark::kMicrosecond);

/// Parity, checksums and headers: what a put does on its caller's thread.
void encode_chunk(benchmark::State& state) {
  const StripeShape shape = shape_of(state);
  const ReedSolomon code(shape.data, shape.parity);
  const TestChunk chunk = make_chunk(1, kPages);
  for (auto _ : state) {
    const EncodedChunk encoded(chunk.id, *chunk.bytes, nullptr, shape, code);
    benchmark::DoNotOptimize(encoded.header(0).data());
  }
}
BENCHMARK(encode_chunk)->Args({4, 1})->Args({4, 2})->Unit(benchmark::kMicrosecond);

void check_stripes_of_a_chunk(benchmark::State& state) {
  const StripeShape shape{4, 1};
  const TestChunk chunk = make_chunk(1, kPages);
  const EncodedChunk encoded(chunk.id, *chunk.bytes, nullptr, shape, ReedSolomon(4, 1));
  for (auto _ : state) {
    for (unsigned i = 0; i < shape.data; ++i) {
      benchmark::DoNotOptimize(
          check_stripe(encoded.id(i), encoded.header(i), encoded.payload(i)).has_value());
    }
  }
}
BENCHMARK(check_stripes_of_a_chunk)->Unit(benchmark::kMicrosecond);

void build_placement(benchmark::State& state) {
  std::vector<WeightedNode> nodes;
  for (int64_t i = 0; i < state.range(0); ++i) nodes.push_back({"node-" + std::to_string(i), 1});
  for (auto _ : state) benchmark::DoNotOptimize(Placement::create(nodes, 5)->slots());
}
BENCHMARK(build_placement)->Arg(10)->Arg(100)->Unit(benchmark::kMillisecond);

/// Five servers and 32 chunks that they hold; gets of all, `lanes` under way at a time.
void get_over_loopback(benchmark::State& state) {
  if (const std::string missing = MemcachedProcess::unavailable(); !missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  const auto lanes = static_cast<size_t>(state.range(0));
  std::vector<std::unique_ptr<ZoneServer>> servers;
  ZoneOptions options = patient_options(4, 1);
  for (int i = 0; i < 5; ++i) {
    servers.push_back(std::make_unique<ZoneServer>());
    options.nodes.push_back({"node-" + std::to_string(i), "127.0.0.1", servers.back()->port(), 1});
  }
  const auto client = std::move(*ZoneClient::create(options));
  std::vector<TestChunk> chunks;
  for (unsigned i = 0; i < 32; ++i) {
    chunks.push_back(make_chunk(i, kPages));
    CHECK(put_and_wait(*client, chunks.back()) == 5);
  }
  if (state.range(1) != 0) servers[0]->kill();
  size_t turn = 0;
  uint64_t misses = 0;
  for (auto _ : state) {
    std::vector<Awaited<std::unique_ptr<StripeSet>>> got(lanes);
    for (auto& one : got) {
      const TestChunk& chunk = chunks[turn++ % chunks.size()];
      client->get(chunk.id, kPages, kNoDeadline,
                  [&one](std::unique_ptr<StripeSet> stripes) { one.give(std::move(stripes)); });
    }
    for (auto& one : got) {
      std::unique_ptr<StripeSet> stripes = one.take();
      misses += stripes == nullptr ? 1 : 0;
      if (stripes) benchmark::DoNotOptimize(ZoneClient::assemble(std::move(stripes))->data());
    }
  }
  const ZoneStatus status = client->status();
  const auto gets = static_cast<double>(status.gets);
  uint64_t requests = 0;
  uint64_t discarded = 0;
  for (const ZoneNodeStatus& node : status.nodes) {
    requests += node.requests;
    discarded += node.bytes_discarded;
  }
  state.counters["requests"] = (static_cast<double>(requests) - 32 * 5) / gets;
  state.counters["discarded_kib"] = static_cast<double>(discarded) / 1024 / gets;
  state.counters["degraded"] = static_cast<double>(status.hits_degraded) / gets;
  state.counters["misses"] = static_cast<double>(misses);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(lanes * kPages * kPageBytes));
}
BENCHMARK(get_over_loopback)
    ->ArgNames({"lanes", "one_dead"})
    ->Args({1, 0})
    ->Args({1, 1})
    ->Args({8, 0})
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

void put_over_loopback(benchmark::State& state) {
  if (const std::string missing = MemcachedProcess::unavailable(); !missing.empty()) {
    state.SkipWithError(missing.c_str());
    return;
  }
  std::vector<std::unique_ptr<ZoneServer>> servers;
  ZoneOptions options = patient_options(4, 1);
  for (int i = 0; i < 5; ++i) {
    servers.push_back(std::make_unique<ZoneServer>());
    options.nodes.push_back({"node-" + std::to_string(i), "127.0.0.1", servers.back()->port(), 1});
  }
  const auto client = std::move(*ZoneClient::create(options));
  const TestChunk chunk = make_chunk(1, kPages);
  for (auto _ : state) benchmark::DoNotOptimize(put_and_wait(*client, chunk));
}
BENCHMARK(put_over_loopback)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace thaw
