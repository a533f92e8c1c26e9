// SPDX-License-Identifier: Apache-2.0
//
// What the client costs: signing a request, hashing what is put, and reads of a chunk over loopback
// from the strict server, which shares the machine and hashes nothing on a read.
#include <benchmark/benchmark.h>

#include <latch>

#include "thaw/s3/s3_store.h"
#include "thaw/s3/served_store_test.h"
#include "thaw/testing/object_store_conformance.h"

namespace thaw {
namespace {

void BM_Sign(benchmark::State& state) {
  SigV4Signer signer(credentials_for({}), "us-east-1", "s3");
  const std::string digest = payload_digest({});
  const WallTime time = std::chrono::system_clock::now();
  for (auto _ : state) {
    std::vector<HttpHeader> headers = {{"host", "127.0.0.1:9000"}, {"range", "bytes=0-4095"}};
    signer.sign(HttpMethod::kGet, "/bucket/key", "", digest, time, headers);
    benchmark::DoNotOptimize(headers);
  }
}
BENCHMARK(BM_Sign);

void BM_PayloadDigest(benchmark::State& state) {
  const Bytes bytes = sample_bytes(1, static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(payload_digest(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PayloadDigest)->Arg(512 << 10);

/// One read after the other.
void BM_GetInto(benchmark::State& state) {
  const auto server = start_server();
  const auto size = static_cast<size_t>(state.range(0));
  server->set_object("thaw-test", "k", sample_bytes(1, size));
  const auto store = open_store(options_for(*server), server->options().account);
  Bytes out(size);
  for (auto _ : state) {
    if (!store->get_into("k", out)) state.SkipWithError("a read failed");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_GetInto)->Arg(4 << 10)->Arg(512 << 10)->UseRealTime();

/// 32 reads of a chunk at once.
void BM_StartGets(benchmark::State& state) {
  constexpr size_t kReads = 32;
  const auto server = start_server();
  const auto size = static_cast<size_t>(state.range(0));
  server->set_object("thaw-test", "k", sample_bytes(1, size));
  const auto store = open_store(options_for(*server), server->options().account);
  std::vector<Bytes> out(kReads, Bytes(size));
  for (auto _ : state) {
    std::latch done(kReads);
    for (Bytes& each : out) {
      store->start_get("k", each, kNoDeadline, [&](Result<void> got) {
        if (!got) state.SkipWithError("a read failed");
        done.count_down();
      });
    }
    done.wait();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * static_cast<int64_t>(kReads));
}
BENCHMARK(BM_StartGets)->Arg(512 << 10)->UseRealTime();

}  // namespace
}  // namespace thaw
