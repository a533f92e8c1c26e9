// SPDX-License-Identifier: Apache-2.0
//
// The fixture of the page server's tests: a random snapshot in a store, a page server on a thread,
// and replay VMMs that check every byte they read against the snapshot's plaintext.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "thaw/replay/replay_vmm.h"
#include "thaw/resume/page_server.h"
#include "thaw/resume/working_set_test.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/memory_store.h"
#include "thaw/testing/snapshot_fixture.h"
#include "thaw/testing/temp_dir.h"
#include "thaw/tier/stack.h"

namespace thaw {

class ServedVmmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE); !uffd) {
      GTEST_SKIP() << uffd.error().message;
    }
  }

  void TearDown() override { stop(); }

  /// Makes the snapshot and its oracle file. Once, before serve().
  void freeze(const SnapshotFixtureOptions& options) {
    snapshot_.emplace(make_snapshot(store_, options));
    const Bytes& oracle = snapshot_->oracle(ImageKind::kMemory);
    ASSERT_TRUE(replace_file(image_path(), oracle, 0600));
    const Bytes manifest =
        *store_.get(manifest_key(options.root_id, snapshot_->target.manifest), kGiB);
    image_ = *ResumeImage::make(*decode_manifest(manifest, snapshot_->keys));
  }

  /// Gives the snapshot a working set of one recording that touched these pages in this order.
  void record(const std::vector<uint32_t>& pages) {
    const Bytes manifest =
        *store_.get(manifest_key(snapshot_->target.root_id, snapshot_->target.manifest), kGiB);
    image_ = *ResumeImage::make(*decode_manifest(manifest, snapshot_->keys),
                                recorded_set(snapshot_->target, pages));
  }

  /// Starts the page server; each call of serve() after stop() is a new one.
  void serve(PageServerOptions options, uint64_t memory_tier_bytes = 64 * kMiB) {
    workers_.emplace(3, 4096);
    stack_ = *TierStack::create(store_, *workers_, {.memory = {.bytes_max = memory_tier_bytes}});
    PageServer::Observer observer;
    observer.session_ended = [this](const SessionSummary& summary) {
      summaries_.push_back(summary);
    };
    ChunkSource& source = decorate_ ? decorate_(stack_->top()) : stack_->top();
    server_ = *PageServer::create(socket_path(), image_, source, *workers_, options, observer);
    thread_ = std::thread([this] { outcome_ = server_->run(); });
  }

  /// Waits for the server to have served its sessions.
  Result<void> join() {
    if (thread_.joinable()) thread_.join();
    return outcome_;
  }

  void stop() {
    if (server_) server_->stop();
    join();
    server_.reset();
    stack_.reset();  // waits for what the workers do for it
    workers_.reset();
  }

  ReplayVmmOptions vmm_options(Generation generation = Generation::kV1_12) const {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(generation);
    options.socket_path = socket_path();
    options.image_path = image_path();
    options.regions = {{image_->memory().bytes, 0}};
    options.touching.order = ReplayTouching::Order::kPermutation;
    options.touching.threads = 3;
    options.touching.write_percent = 40;
    options.touching.every_page = true;
    return options;
  }

  ReplayVmmResult run_vmm(const ReplayVmmOptions& options) {
    Result<std::unique_ptr<ReplayVmm>> vmm = ReplayVmm::start(options);
    EXPECT_TRUE(vmm) << vmm.error().message;
    return (*vmm)->wait();
  }

  /// Serves one VMM to its end, which must be a good one.
  SessionSummary serve_one(const PageServerOptions& server, const ReplayVmmOptions& vmm) {
    serve(server);
    const ReplayVmmResult result = run_vmm(vmm);
    EXPECT_TRUE(result.passed()) << result.describe();
    const Result<void> outcome = join();
    EXPECT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(summaries_.size(), 1u);
    const SessionSummary summary = summaries_.at(0);
    summaries_.clear();
    stop();
    return summary;
  }

  std::string socket_path() const { return dir_.file("vmm.sock"); }
  std::string image_path() const { return dir_.file("memory"); }

  TempDir dir_;
  MemoryStore store_;
  std::optional<SnapshotFixture> snapshot_;
  std::shared_ptr<const ResumeImage> image_;
  std::optional<WorkerPool> workers_;
  std::unique_ptr<TierStack> stack_;
  std::function<ChunkSource&(ChunkSource&)> decorate_;  // puts a source of the test in front
  std::unique_ptr<PageServer> server_;
  std::thread thread_;
  Result<void> outcome_;
  std::vector<SessionSummary> summaries_;
};

inline int open_descriptors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

}  // namespace thaw
