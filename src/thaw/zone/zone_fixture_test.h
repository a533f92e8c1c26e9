// SPDX-License-Identifier: Apache-2.0
//
// A fleet of real servers, a client of it, and chunks whose bytes are known: what the zone's tests
// share. Every byte that a get yields is compared.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "thaw/base/guarded.h"
#include "thaw/chunk/sealed_chunk.h"
#include "thaw/zone/memcached_test.h"
#include "thaw/zone/zone_client.h"

namespace thaw {

/// The time a test waits for what is sure to come. Passed only by a defect.
inline constexpr std::chrono::seconds kPatience(60);

struct TestChunk {
  ChunkId id;
  std::shared_ptr<Bytes> bytes;
  uint32_t pages() const { return static_cast<uint32_t>(bytes->size() / kPageBytes); }
};

inline TestChunk make_chunk(uint64_t seed, uint32_t pages) {
  TestChunk chunk;
  chunk.bytes = std::make_shared<Bytes>(size_t{pages} * kPageBytes);
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < chunk.bytes->size(); at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(chunk.bytes->data() + at, &word, sizeof word);
  }
  Sha256 hasher;
  chunk.id = name_chunk(hasher, *chunk.bytes);
  return chunk;
}

/// Waits for one callback's value.
template <typename T>
class Awaited {
 public:
  void give(T value) {
    const MutexLock lock(mutex_);
    CHECK(!value_);
    value_ = std::move(value);
    changed_.notify_one();
  }
  T take() {
    MutexLock lock(mutex_);
    while (!value_)
      CHECK(lock.wait_for(changed_, kPatience) == std::cv_status::no_timeout || value_);
    return std::move(*value_);
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_ GUARDED_BY(mutex_);
};

inline bool wait_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// Options with times that hold on a loaded machine, for tests whose servers all answer.
inline ZoneOptions patient_options(unsigned data, unsigned parity) {
  ZoneOptions options;
  options.data_stripes = data;
  options.parity_stripes = parity;
  options.set_timeouts(30'000);
  return options;
}

inline size_t put_and_wait(ZoneClient& client, const TestChunk& chunk) {
  Awaited<size_t> stored;
  client.put(chunk.id, *chunk.bytes, chunk.bytes, [&](size_t count) { stored.give(count); });
  return stored.take();
}

inline size_t remove_and_wait(ZoneClient& client, const TestChunk& chunk) {
  Awaited<size_t> removed;
  client.remove(chunk.id, chunk.pages(), [&](size_t count) { removed.give(count); });
  return removed.take();
}

/// True for a hit; a hit with a wrong byte fails the test.
inline bool get_and_compare(ZoneClient& client, const TestChunk& chunk) {
  Awaited<std::unique_ptr<StripeSet>> got;
  client.get(chunk.id, chunk.pages(), kNoDeadline,
             [&](std::unique_ptr<StripeSet> stripes) { got.give(std::move(stripes)); });
  std::unique_ptr<StripeSet> stripes = got.take();
  if (!stripes) return false;
  const Result<AlignedBuffer> assembled = ZoneClient::assemble(std::move(stripes));
  EXPECT_TRUE(assembled);
  if (!assembled) return false;
  EXPECT_TRUE(std::ranges::equal(assembled->span(), *chunk.bytes)) << "a wrong byte";
  return true;
}

class ZoneTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = MemcachedProcess::unavailable();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  void add_server(MemcachedOptions options = plain_memcached()) {
    servers_.push_back(std::make_unique<ZoneServer>(std::move(options)));
  }
  std::vector<ZoneNodeAddress> addresses() const {
    std::vector<ZoneNodeAddress> nodes;
    for (const auto& server : servers_) {
      nodes.push_back({"node-" + std::to_string(nodes.size()), "127.0.0.1", server->port(), 1});
    }
    return nodes;
  }
  /// A client of all servers, connected to each.
  void connect(ZoneOptions options) {
    options.nodes = addresses();
    Result<std::unique_ptr<ZoneClient>> made = ZoneClient::create(options);
    ASSERT_TRUE(made) << made.error().message;
    client_ = std::move(*made);
    ASSERT_TRUE(wait_until([&] { return count_up() == servers_.size(); }));
  }
  size_t count_up() const { return client_->status().nodes_up(); }
  /// The server that keeps a stripe, by asking all of them.
  ZoneServer* keeper_of(const StripeId& id) const {
    for (const auto& server : servers_) {
      if (!server->load(id.key()).empty()) return server.get();
    }
    return nullptr;
  }
  StripeId stripe_of(const TestChunk& chunk, unsigned index) const {
    return {chunk.id, chunk.pages(), client_->shape(), static_cast<uint8_t>(index)};
  }

  std::vector<std::unique_ptr<ZoneServer>> servers_;
  std::unique_ptr<ZoneClient> client_;  // goes before its servers
};

}  // namespace thaw
