// SPDX-License-Identifier: Apache-2.0
#include "thaw/freeze/chunk_uploader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <semaphore>

#include "thaw/base/check.h"
#include "thaw/crypto/digest.h"
#include "thaw/store/catalog.h"
#include "thaw/testing/forwarding_store.h"
#include "thaw/testing/memory_store.h"

namespace thaw {
namespace {

using testing::ElementsAre;

constexpr size_t kBytes = 4096;
constexpr uint64_t kRoot = 1;

/// Says when a put begins, and holds it until it is let go on.
class GatedStore final : public ForwardingStore {
 public:
  explicit GatedStore(ObjectStore& below) : ForwardingStore(below) {}

  Result<std::vector<PutOutcome>> put_if_absent(std::span<const PutRequest> requests) override {
    sizes_.with([&](std::vector<size_t>& sizes) { sizes.push_back(requests.size()); });
    begun.release();
    let_go.acquire();
    if (fails) return fail(ErrorCode::kUnavailable, "told to fail");
    return ForwardingStore::put_if_absent(requests);
  }

  /// Chunks of each put, in the order in which they began.
  std::vector<size_t> sizes() const {
    return sizes_.with([](const std::vector<size_t>& sizes) { return sizes; });
  }

  std::counting_semaphore<> begun{0};
  std::counting_semaphore<> let_go{0};
  std::atomic<bool> fails{false};

 private:
  Guarded<std::vector<size_t>> sizes_;
};

class ChunkUploaderTest : public testing::Test {
 protected:
  SealedChunk chunk() {
    SealedChunk chunk{{}, pool_.acquire(), kBytes};
    std::fill_n(chunk.ciphertext.data(), kBytes, static_cast<std::byte>(++chunks_));
    Sha256 hasher;
    chunk.id = {hasher.of({chunk.ciphertext.data(), kBytes})};
    return chunk;
  }
  size_t stored() const {
    size_t count = 0;
    CHECK(memory_.list("", [&](const std::string&, uint64_t) -> Result<void> {
      ++count;
      return {};
    }));
    return count;
  }

  BufferPool pool_{32, kBytes};
  MemoryStore memory_;
  GatedStore store_{memory_};
  FirstError error_;
  int chunks_ = 0;
};

TEST_F(ChunkUploaderTest, AGroupIsWhatCameWhileTheOneBeforeWasPut) {
  ChunkUploader uploader(store_, kRoot, {2 * kBytes, 8, 64 * kBytes, 1}, error_, [] {});
  uploader.add(chunk());  // less than is worth a call
  uploader.add(chunk());
  store_.begun.acquire();
  for (int i = 0; i < 5; ++i) uploader.add(chunk());
  store_.let_go.release();
  store_.begun.acquire();
  uploader.add(chunk());  // and the last one: less than is worth a call, and put at the end
  store_.let_go.release(2);
  const UploadStats stats = uploader.finish();
  EXPECT_TRUE(error_.result());
  EXPECT_THAT(store_.sizes(), ElementsAre(2, 5, 1));
  EXPECT_EQ(stats.chunks_created, 8u);
  EXPECT_EQ(stats.bytes_created, 8 * kBytes);
  EXPECT_EQ(stored(), 8u);
}

TEST_F(ChunkUploaderTest, GroupsAreBoundedInChunksAndBytes) {
  for (const UploadLimits& limits :
       {UploadLimits{kBytes, 3, 64 * kBytes, 1}, UploadLimits{kBytes, 64, 3 * kBytes, 1}}) {
    GatedStore store(memory_);
    ChunkUploader uploader(store, kRoot, limits, error_, [] {});
    uploader.add(chunk());
    store.begun.acquire();
    for (int i = 0; i < 7; ++i) uploader.add(chunk());
    store.let_go.release(4);
    uploader.finish();
    EXPECT_THAT(store.sizes(), ElementsAre(1, 3, 3, 1));
  }
  EXPECT_EQ(stored(), 16u);
}

TEST_F(ChunkUploaderTest, EveryThreadThatIsIdleTakesAGroup) {
  ChunkUploader uploader(store_, kRoot, {kBytes, 8, 64 * kBytes, 2}, error_, [] {});
  uploader.add(chunk());
  store_.begun.acquire();
  uploader.add(chunk());
  store_.begun.acquire();  // while the first one is still held
  store_.let_go.release(2);
  uploader.finish();
  EXPECT_THAT(store_.sizes(), ElementsAre(1, 1));
}

TEST_F(ChunkUploaderTest, AfterAFailureGroupsAreDroppedAndGiveTheirBuffersBack) {
  store_.fails = true;
  ChunkUploader uploader(store_, kRoot, {kBytes, 8, 64 * kBytes, 1}, error_, [] {});
  uploader.add(chunk());
  store_.begun.acquire();
  for (int i = 0; i < 31; ++i) uploader.add(chunk());  // all that the pool has
  store_.let_go.release();
  const PooledBuffer returned = pool_.acquire();  // would wait for ever
  const UploadStats stats = uploader.finish();
  EXPECT_THAT(store_.sizes(), ElementsAre(1));
  EXPECT_EQ(stats.chunks_created, 0u);
  ASSERT_FALSE(error_.result());
  EXPECT_EQ(error_.result().error().message, "told to fail");
  EXPECT_EQ(stored(), 0u);
}

TEST_F(ChunkUploaderTest, GroupsPutAreToldOneByOne) {
  int told = 0;
  ChunkUploader uploader(store_, kRoot, {kBytes, 1, kBytes, 3}, error_, [&] { ++told; });
  store_.let_go.release(20);
  for (int i = 0; i < 20; ++i) uploader.add(chunk());
  uploader.finish();
  EXPECT_EQ(told, 20);
  EXPECT_EQ(stored(), 20u);
}

}  // namespace
}  // namespace thaw
