// SPDX-License-Identifier: Apache-2.0
//
// What may go wrong around a session: each time a clear end, no wrong page, nothing leaked.
#include <csignal>

#include "thaw/base/log.h"
#include "thaw/resume/served_vmm_test.h"

namespace thaw {
namespace {

class PageServerFaultTest : public ServedVmmTest {
 protected:
  void SetUp() override {
    ServedVmmTest::SetUp();
    if (IsSkipped()) return;
    freeze({.memory_pages = 1024, .zero_share = 0.3});
  }

  uint32_t chunk_of_page(uint64_t page) const {
    const PageLocation location = image_->map().locate(page);
    EXPECT_FALSE(location.zero);
    return location.chunk;
  }

  // The VMM must not read a byte of what cannot be served: it is ended before.
  void expect_fails_closed(Fill fill, const std::string& why) {
    PageServerOptions options;
    options.session.fill = fill;
    serve(options);
    const ReplayVmmResult result = run_vmm(vmm_options());
    // The poisoned page may end it before the signal does.
    EXPECT_TRUE(result.signal == SIGKILL || result.signal == SIGBUS) << result.describe();
    const Result<void> outcome = join();
    ASSERT_FALSE(outcome);
    EXPECT_NE(outcome.error().message.find(why), std::string::npos) << outcome.error().message;
    EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(summaries_.at(0).end, SessionEnd::kFailed);
    summaries_.clear();
    stop();
  }
};

TEST_F(PageServerFaultTest, ADamagedChunkEndsTheVmm) {
  flip_bit(store_, snapshot_->chunk_key_of(3), 77);
  for (const Fill fill : {Fill::kChunk, Fill::kPage}) {
    expect_fails_closed(fill, "does not have the content of its name");
  }
}

TEST_F(PageServerFaultTest, AMissingChunkEndsTheVmm) {
  ASSERT_TRUE(store_.remove(snapshot_->chunk_key_of(0)));
  for (const Fill fill : {Fill::kChunk, Fill::kPage}) {
    expect_fails_closed(fill, snapshot_->chunk_key_of(0));
  }
}

TEST_F(PageServerFaultTest, ASwappedChunkEndsTheVmm) {
  const auto& chunks = snapshot_->manifest.clear.chunks;
  uint32_t other = 1;
  while (chunks[other].pages != chunks[0].pages) ++other;
  const Bytes bytes = *store_.get(snapshot_->chunk_key_of(other), kGiB);
  ASSERT_TRUE(store_.replace(snapshot_->chunk_key_of(0), bytes));
  expect_fails_closed(Fill::kChunk, "does not have the content of its name");
}

TEST_F(PageServerFaultTest, ATruncatedChunkEndsTheVmm) {
  Bytes bytes = *store_.get(snapshot_->chunk_key_of(2), kGiB);
  bytes.resize(bytes.size() / 2);
  ASSERT_TRUE(store_.replace(snapshot_->chunk_key_of(2), bytes));
  expect_fails_closed(Fill::kChunk, snapshot_->chunk_key_of(2));
}

// A damaged chunk that the guest never asks for harms nobody: the prefault leaves it out.
TEST_F(PageServerFaultTest, APrefaultSkipsWhatItCannotRead) {
  const Extent damaged = image_->map().extents().back();
  const Extent intact = image_->map().extents().front();
  ASSERT_NE(damaged.chunk, intact.chunk);
  flip_bit(store_, snapshot_->chunk_key_of(damaged.chunk));
  PageServerOptions options;
  options.session.prefault = Prefault::kAll;
  serve(options);
  ReplayVmmOptions vmm = vmm_options();
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.every_page = false;
  vmm.touching.threads = 1;
  vmm.touching.trace.page_count = image_->map().page_count();
  vmm.touching.trace.events = {{intact.page, false, 0}};
  const ReplayVmmResult result = run_vmm(vmm);
  EXPECT_TRUE(result.passed()) << result.describe();
  EXPECT_TRUE(join());
  EXPECT_EQ(summaries_.at(0).end, SessionEnd::kVmmExited);
}

TEST_F(PageServerFaultTest, AVmmMayDieAtAnyPoint) {
  const int before = open_descriptors();
  for (const uint64_t after : {0u, 1u, 7u, 100u, 900u}) {
    for (const bool by_signal : {true, false}) {
      SCOPED_TRACE(after);
      serve({});
      ReplayVmmOptions vmm = vmm_options();
      (by_signal ? vmm.sigkill_after : vmm.exit_after) = after;
      run_vmm(vmm);
      EXPECT_TRUE(join());
      EXPECT_EQ(summaries_.at(0).end, SessionEnd::kVmmExited);
      summaries_.clear();
      stop();
    }
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(PageServerFaultTest, AVmmMayDieDuringAPrefault) {
  for (const uint64_t after : {0u, 5u, 50u}) {
    PageServerOptions options;
    options.session.prefault = Prefault::kAll;
    serve(options);
    ReplayVmmOptions vmm = vmm_options();
    vmm.sigkill_after = after;
    vmm.random_removes = 20;
    run_vmm(vmm);
    EXPECT_TRUE(join());
    EXPECT_NE(summaries_.at(0).end, SessionEnd::kFailed);
    summaries_.clear();
    stop();
  }
}

TEST_F(PageServerFaultTest, AClosedSocketIsNotADeadVmm) {
  serve({});
  ReplayVmmOptions vmm = vmm_options();
  vmm.close_socket_after = 10;
  const ReplayVmmResult result = run_vmm(vmm);
  EXPECT_TRUE(result.passed()) << result.describe();
  EXPECT_TRUE(join());
}

TEST_F(PageServerFaultTest, StoppingTheServerEndsVmmsThatStillNeedIt) {
  serve({});
  ReplayVmmOptions held = vmm_options();
  held.hold_before_exit = true;
  held.touching.every_page = false;
  held.touching.order = ReplayTouching::Order::kRepeats;
  held.touching.touches = 5;
  auto half_filled = *ReplayVmm::start(held);
  ASSERT_TRUE(half_filled->wait_for(ReplayVmmEvent::Kind::kReport));
  server_->stop();
  EXPECT_TRUE(join());
  EXPECT_EQ(half_filled->wait().signal, SIGKILL);
  EXPECT_EQ(summaries_.at(0).end, SessionEnd::kStopped);
}

class RefusedHandshakeTest : public PageServerFaultTest {
 protected:
  // A VMM whose handshake is refused cannot run: it is ended, and the server says why.
  void expect_refused(const ReplayVmmOptions& vmm, const std::string& why) {
    serve({});
    const ReplayVmmResult result = run_vmm(vmm);
    EXPECT_EQ(result.signal, SIGKILL) << result.describe();
    const Result<void> outcome = join();
    ASSERT_FALSE(outcome) << why;
    EXPECT_NE(outcome.error().message.find(why), std::string::npos) << outcome.error().message;
    EXPECT_TRUE(summaries_.empty());
    stop();
  }

  // What carries no userfaultfd harms nobody: the server goes on and serves the next client.
  void expect_ignored(const ReplayVmmOptions& client) {
    PageServerOptions options;
    options.handshake_timeout_ms = 200;
    serve(options);
    ReplayVmmOptions stays = client;
    stays.wait_for_peer_close = true;
    stays.touching.order = ReplayTouching::Order::kNone;
    stays.touching.every_page = false;
    const ReplayVmmResult ignored = run_vmm(stays);
    EXPECT_FALSE(ignored.signal) << ignored.describe();
    const ReplayVmmResult next = run_vmm(vmm_options());
    EXPECT_TRUE(next.passed()) << next.describe();
    EXPECT_TRUE(join());
    EXPECT_EQ(summaries_.size(), 1u);
    summaries_.clear();
    stop();
  }

  ReplayVmmOptions with_body(const std::string& body) const {
    ReplayVmmOptions options = vmm_options();
    options.handshake.raw_body = body;
    return options;
  }

  static std::string region(uint64_t base, uint64_t size, uint64_t offset) {
    return R"({"base_host_virt_addr":)" + std::to_string(base) + R"(,"size":)" +
           std::to_string(size) + R"(,"offset":)" + std::to_string(offset) + "}";
  }
};

TEST_F(RefusedHandshakeTest, RegionsThatMakeNoSense) {
  const uint64_t all = image_->memory().bytes;
  expect_refused(with_body("[]"), "no region");
  expect_refused(with_body("[" + region(1 << 20, all / 2, 0) + "," +
                           region((1 << 20) + 4096, all / 2, all / 2) + "]"),
                 "overlap");
  expect_refused(with_body("[" + region((1 << 20) + 1, all, 0) + "]"), "not aligned");
  expect_refused(with_body("[" + region(1 << 20, all * 2, 0) + "]"), "past the end");
  expect_refused(with_body("[" + region(1 << 20, 0, 0) + "]"), "empty");
  std::string many = "[";
  for (int i = 0; i < 4096; ++i) many += (i ? "," : "") + region(1 << 20, 4096, 0);
  expect_refused(with_body(many + "]"), "");
}

TEST_F(RefusedHandshakeTest, AnotherSnapshotsMemory) {
  ReplayVmmOptions vmm = vmm_options();
  vmm.regions = {{image_->memory().bytes / 2, 0}};
  expect_refused(vmm, "is this the snapshot");
}

TEST_F(RefusedHandshakeTest, GarbageAndProtocolsThatAreNotServed) {
  expect_refused(with_body("[{]}"), "JSON");
  expect_refused(with_body("GET / HTTP/1.1\r\n\r\n"), "not JSON");
  expect_refused(with_body(R"({"type":0,"regions":[]})"), "typed envelope");
  ReplayVmmOptions secret_free = vmm_options();
  secret_free.handshake.fds = {ReplayHandshake::Passed::kUffd, ReplayHandshake::Passed::kMemfd,
                               ReplayHandshake::Passed::kMemfd};
  expect_refused(secret_free, "3 descriptors");
}

TEST_F(RefusedHandshakeTest, AHandshakeThatIsCutWithItsUserfaultfd) {
  ReplayVmmOptions vmm = vmm_options();
  vmm.handshake.delivery = ReplayHandshake::Delivery::kCut;
  vmm.wait_for_peer_close = true;
  PageServerOptions options;
  options.handshake_timeout_ms = 200;
  serve(options);
  const ReplayVmmResult result = run_vmm(vmm);
  EXPECT_EQ(result.signal, SIGKILL) << result.describe();
  const Result<void> outcome = join();
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find("not complete after 200 ms"), std::string::npos);
}

TEST_F(RefusedHandshakeTest, ARestoreAboveTheLimitIsRefusedAtOnce) {
  PageServerOptions options;
  options.sessions_max = 2;
  options.restores_max = 1;
  options.restore_settle_ms = 3'600'000;  // whoever has begun counts as loading until it ends
  serve(options);
  ReplayVmmOptions held = vmm_options();
  held.hold_before_exit = true;
  auto first = *ReplayVmm::start(held);
  ASSERT_TRUE(first->wait_for(ReplayVmmEvent::Kind::kReport));
  EXPECT_EQ(run_vmm(vmm_options()).signal, SIGKILL);
  first->proceed();
  EXPECT_TRUE(first->wait().passed()) << first->wait().describe();
  const Result<void> outcome = join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kOverloaded);
  EXPECT_NE(outcome.error().message.find("restores_max"), std::string::npos);
}

TEST_F(RefusedHandshakeTest, ARefusedRestoreCountsOnce) {
  PageServerOptions options;
  options.sessions_max = 3;
  options.restores_max = 1;
  options.restore_settle_ms = 3'600'000;
  serve(options);
  ReplayVmmOptions held = vmm_options();
  held.hold_before_exit = true;
  auto first = *ReplayVmm::start(held);
  ASSERT_TRUE(first->wait_for(ReplayVmmEvent::Kind::kReport));
  EXPECT_EQ(run_vmm(vmm_options()).signal, SIGKILL);
  first->proceed();
  EXPECT_TRUE(first->wait().passed()) << first->wait().describe();
  // The third of three is still served.
  const ReplayVmmResult third = run_vmm(vmm_options());
  EXPECT_TRUE(third.passed()) << third.describe();
  EXPECT_FALSE(join());
  EXPECT_EQ(summaries_.size(), 2u);
}

TEST_F(RefusedHandshakeTest, ASessionThatHasSettledLeavesRoom) {
  PageServerOptions options;
  options.sessions_max = 2;
  options.restores_max = 1;
  options.restore_settle_ms = 0;
  serve(options);
  ReplayVmmOptions held = vmm_options();
  held.hold_before_exit = true;
  auto first = *ReplayVmm::start(held);
  // It has touched every page, so that nothing is under way for it.
  ASSERT_TRUE(first->wait_for(ReplayVmmEvent::Kind::kReport));
  const ReplayVmmResult second = run_vmm(vmm_options());
  EXPECT_TRUE(second.passed()) << second.describe();
  first->proceed();
  EXPECT_TRUE(first->wait().passed());
  EXPECT_TRUE(join());
}

TEST_F(RefusedHandshakeTest, ClientsWithoutAUserfaultfdAreIgnored) {
  set_log_level(LogLevel::kError);
  const int before = open_descriptors();
  ReplayVmmOptions none = vmm_options();
  none.handshake.fds = {};
  expect_ignored(none);
  ReplayVmmOptions other = vmm_options();
  other.handshake.fds = {ReplayHandshake::Passed::kDevNull};
  expect_ignored(other);
  ReplayVmmOptions silent = vmm_options();
  silent.handshake.delivery = ReplayHandshake::Delivery::kSilent;
  expect_ignored(silent);
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace thaw
