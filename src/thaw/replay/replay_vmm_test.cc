// SPDX-License-Identifier: Apache-2.0
//
// The replay VMM against the bare handler, and against a handler that is wrong: an oracle that
// cannot say no proves nothing.
#include "thaw/replay/replay_vmm.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "thaw/base/check.h"
#include "thaw/base/units.h"
#include "thaw/replay/image_pattern_test.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/process.h"
#include "thaw/sys/uffd.h"
#include "thaw/sys/unix_socket.h"
#include "thaw/testing/bare_handler.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Event = ReplayVmmEvent::Kind;

class ReplayVmmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE); !uffd) {
      GTEST_SKIP() << uffd.error().message;
    }
    use_image(random_image(kImageBytes));
  }

  void use_image(Bytes image) {
    image_ = std::move(image);
    ASSERT_TRUE(replace_file(dir_.file("memory"), image_, 0600));
  }

  ReplayVmmOptions options(Generation generation = Generation::kV1_12) const {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(generation);
    options.socket_path = dir_.file("uffd.sock");
    options.image_path = dir_.file("memory");
    options.regions = {{image_.size(), 0}};
    return options;
  }

  void start_handler(bool forget_removes = false) {
    BareHandlerOptions bare;
    bare.socket_path = dir_.file("uffd.sock");
    bare.image = image_;
    bare.forget_removes = forget_removes;
    auto started = BareHandler::start(bare);
    ASSERT_TRUE(started) << started.error().message;
    handler_ = std::move(*started);
  }

  static std::unique_ptr<ReplayVmm> start(const ReplayVmmOptions& options) {
    auto vmm = ReplayVmm::start(options);
    EXPECT_TRUE(vmm) << vmm.error().message;
    return vmm ? std::move(*vmm) : nullptr;
  }

  // Runs it to its end against a right handler.
  ReplayVmmResult run(const ReplayVmmOptions& options, bool forget_removes = false) {
    start_handler(forget_removes);
    const auto vmm = start(options);
    if (vmm == nullptr) return {};
    ReplayVmmResult result = vmm->wait(kPatience);
    stats_ = handler_->stop();
    handler_.reset();
    return result;
  }

  const TempDir dir_;
  Bytes image_;
  std::unique_ptr<BareHandler> handler_;
  BareHandlerStats stats_;
};

// --- touching
// -------------------------------------------------------------------------------------

TEST_F(ReplayVmmTest, ReadsEveryPageAndFindsItRight) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kSequential;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->touches, kPages);
  EXPECT_EQ(result.report->pages_touched, kPages);
  EXPECT_EQ(result.report->pages_checked, 2 * kPages);  // on touch and at the end
  EXPECT_EQ(result.report->first_touch.count, kPages);
  EXPECT_EQ(result.report->repeat_touch.count, 0u);
  EXPECT_GE(result.report->faults_minor + result.report->faults_major, kPages);
  EXPECT_GT(result.report->first_touch.p50_ns, 0u);
  EXPECT_LE(result.report->first_touch.p50_ns, result.report->first_touch.max_ns);
  EXPECT_GE(result.report->from_handshake_ns, result.report->touching_ns);
  EXPECT_EQ(stats_.image_pages, kPages);
  EXPECT_EQ(stats_.write_faults, 0u);
  EXPECT_EQ(stats_.error, "");
}

TEST_F(ReplayVmmTest, WriteTouchesAreWriteFaults) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.write_percent = 100;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->writes, kPages);
  EXPECT_EQ(stats_.write_faults, kPages);
}

TEST_F(ReplayVmmTest, ManyThreadsRepeatsAndWrites) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kRepeats;
  vmm.touching.touches = 5000;
  vmm.touching.write_percent = 50;
  vmm.touching.every_page = true;
  vmm.touching.threads = 4;
  vmm.touching.cores = {0};
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_touched, kPages);
  EXPECT_EQ(result.report->first_touch.count, kPages);
  EXPECT_EQ(result.report->first_touch.count + result.report->repeat_touch.count,
            result.report->touches);
  EXPECT_GT(result.report->touches, 5000u);
}

TEST_F(ReplayVmmTest, CheckingAfterTheTraceChecksEveryTouchedPageOnce) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.trace = {kPages, {{5, false, 0}, {900, true, 1000}, {5, true, 0}, {17, false, 0}}};
  vmm.touching.replay_gaps = true;
  vmm.touching.check = ReplayTouching::Check::kAfterTrace;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->touches, 4u);
  EXPECT_EQ(result.report->writes, 2u);
  EXPECT_EQ(result.report->pages_checked, 3u);
  EXPECT_EQ(stats_.faults, 3u);
}

TEST_F(ReplayVmmTest, RegionsShowTheImageAtTheirOffsets) {
  ReplayVmmOptions vmm = options();
  vmm.regions = {{kImageBytes / 4, kImageBytes / 2}, {kImageBytes / 4, 0}};
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.threads = 2;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_touched, kPages / 2);
}

// --- the oracle bites
// -----------------------------------------------------------------------------

TEST_F(ReplayVmmTest, CanaryOneFlippedBitIsFound) {
  constexpr uint64_t kBadPage = 321;
  constexpr uint32_t kBadByte = 4095;
  for (const auto check : {ReplayTouching::Check::kOnTouch, ReplayTouching::Check::kAfterTrace}) {
    const std::byte right = image_[kBadPage * kPageBytes + kBadByte];
    image_[kBadPage * kPageBytes + kBadByte] ^= std::byte{0x10};
    ReplayVmmOptions vmm = options();
    vmm.touching.order = ReplayTouching::Order::kPermutation;
    vmm.touching.write_percent = 50;
    vmm.touching.check = check;
    const ReplayVmmResult result = run(vmm);
    EXPECT_EQ(result.exit, ReplayVmmExit::kMismatch) << result.describe();
    ASSERT_TRUE(result.report);
    EXPECT_EQ(result.report->mismatch_count, 1u);
    ASSERT_EQ(result.report->mismatches.size(), 1u);
    const PageMismatch& mismatch = result.report->mismatches[0];
    EXPECT_EQ(mismatch.page, kBadPage);
    EXPECT_EQ(mismatch.offset, kBadByte);
    EXPECT_EQ(mismatch.expected, std::to_integer<uint8_t>(right));
    EXPECT_EQ(mismatch.got, std::to_integer<uint8_t>(right) ^ 0x10);
    EXPECT_THAT(mismatch.history, HasSubstr("original"));
    image_[kBadPage * kPageBytes + kBadByte] = right;
  }
}

TEST_F(ReplayVmmTest, CanaryAStalePageAfterRemoveIsFound) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kSequential;
  vmm.changes = {{ReplayMapChange::Kind::kRemove, kPages, 100, 3}};
  const ReplayVmmResult result = run(vmm, /*forget_removes=*/true);
  EXPECT_EQ(result.exit, ReplayVmmExit::kMismatch) << result.describe();
  ASSERT_TRUE(result.report);
  EXPECT_EQ(result.report->mismatch_count, 3u);
  EXPECT_EQ(result.report->mismatches.at(0).page, 100u);
  EXPECT_EQ(result.report->mismatches.at(0).expected, 0);
  EXPECT_EQ(result.report->mismatches.at(0).history, "removed");
}

TEST_F(ReplayVmmTest, CanaryAPageOfAnotherPlaceIsFound) {
  std::rotate(image_.begin(), image_.begin() + kPageBytes, image_.end());
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kSequential;
  const ReplayVmmResult result = run(vmm);
  EXPECT_EQ(result.exit, ReplayVmmExit::kMismatch);
  ASSERT_TRUE(result.report);
  EXPECT_EQ(result.report->mismatch_count, kPages);
  EXPECT_EQ(result.report->mismatches.size(), kMismatchesMax);
}

// --- removes
// --------------------------------------------------------------------------------------

TEST_F(ReplayVmmTest, RemovedPagesReadAsZerosAgainAndAgain) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.trace = {kPages, {{8, true, 0}, {8, true, 0}, {9, false, 0}, {8, false, 0}}};
  vmm.changes = {{ReplayMapChange::Kind::kRemove, 1, 8, 1},
                 {ReplayMapChange::Kind::kRemove, 3, 7, 3}};
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_removed, 4u);
  EXPECT_EQ(stats_.removes, 2u);
  EXPECT_EQ(stats_.zero_pages, 4u);  // page 8 twice; 7 and 9 by the final check
  EXPECT_EQ(stats_.image_pages, 2u);
}

TEST_F(ReplayVmmTest, RemovesRaceWithTouchesAndTheOracleStaysExact) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ReplayVmmOptions vmm = options();
    vmm.touching.order = ReplayTouching::Order::kRepeats;
    vmm.touching.touches = 4000;
    vmm.touching.write_percent = 40;
    vmm.touching.threads = 4;
    vmm.touching.seed = seed;
    vmm.random_removes = 300;
    vmm.random_remove_pages_max = 40;
    const ReplayVmmResult result = run(vmm);
    ASSERT_TRUE(result.passed()) << result.describe();
    EXPECT_GT(result.report->pages_removed, 300u);
    EXPECT_GE(stats_.removes, 300u);
    EXPECT_GT(stats_.zero_pages, 0u);
    EXPECT_EQ(stats_.error, "");
  }
}

TEST_F(ReplayVmmTest, AnOldBalloonMapsOverTheRangeAndNobodyIsTold) {
  ReplayVmmOptions vmm = options(Generation::kV1_7);
  vmm.touching.order = ReplayTouching::Order::kSequential;
  vmm.changes = {{ReplayMapChange::Kind::kRemoveByMap, 50, 10, 100}};
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(stats_.removes, 0u);
  EXPECT_EQ(stats_.image_pages, kPages - 60);  // 40 had been touched before, 60 left unseen
}

TEST_F(ReplayVmmTest, UnmappedPagesAreNotTouched) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kSequential;
  vmm.touching.threads = 2;
  vmm.changes = {{ReplayMapChange::Kind::kUnmap, 0, 512, 64}};
  vmm.random_removes = 20;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->skipped, 64u);
  EXPECT_EQ(result.report->pages_touched, kPages - 64);
}

// --- pages of 2 MiB
// -------------------------------------------------------------------------------

TEST_F(ReplayVmmTest, PagesOf2MiBOverOrdinaryMemory) {
  use_image(random_image(8 * kMiB));
  ReplayVmmOptions vmm = options();
  vmm.page_bytes = 2 * kMiB;
  vmm.hugetlb = false;
  vmm.touching.order = ReplayTouching::Order::kTrace;
  vmm.touching.trace = {2048, {{3, true, 0}, {600, false, 0}, {4, true, 0}, {1700, false, 0}}};
  vmm.changes = {{ReplayMapChange::Kind::kRemove, 3, 0, 1}};
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->first_touch.count, 3u);
  EXPECT_EQ(result.report->pages_removed, 512u);
  EXPECT_EQ(stats_.image_pages, 3u);
  EXPECT_GE(stats_.zero_pages, 1u);
}

TEST_F(ReplayVmmTest, PagesOf2MiBOverHugetlbOrSaysWhatIsMissing) {
  use_image(random_image(8 * kMiB));
  ReplayVmmOptions vmm = options();
  vmm.page_bytes = 2 * kMiB;
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.write_percent = 50;
  vmm.changes = {{ReplayMapChange::Kind::kRemove, 1000, 512, 512}};
  const ReplayVmmResult result = run(vmm);
  if (result.exit == ReplayVmmExit::kUnsupported) {
    EXPECT_THAT(result.error, HasSubstr("sysctl vm.nr_hugepages"));
    GTEST_SKIP() << result.error;
  }
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(stats_.image_pages + stats_.zero_pages, 5u);
}

// --- handshakes
// -----------------------------------------------------------------------------------

// The other end of a handshake, played by the test.
struct Heard {
  std::string body;
  std::vector<std::string> fds;  // what each descriptor is
  bool end = false;
  pid_t pid = 0;
};

std::string target_of(int fd) {
  char target[256];
  const ssize_t length =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
  return std::string(target, length < 0 ? 0 : static_cast<size_t>(length));
}

class HandshakeTest : public ReplayVmmTest {
 protected:
  void SetUp() override {
    ReplayVmmTest::SetUp();
    if (IsSkipped()) return;
    auto listener = listen_unix(dir_.file("uffd.sock"));
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::move(*listener);
  }

  // Takes what has arrived when the replay VMM says it has sent everything.
  Heard hear(ReplayVmm& vmm) {
    Heard heard;
    const auto sent = vmm.wait_for(Event::kHandshakeSent);
    EXPECT_TRUE(sent) << vmm.wait().describe();
    connection_ = Fd(::accept(listener_.get(), nullptr, nullptr));
    EXPECT_TRUE(connection_);
    heard.pid = peer_of(connection_.get())->pid;
    std::array<std::byte, 4096> buffer;
    while (connection_) {
      auto received = receive_with_fds(connection_.get(), buffer);
      EXPECT_TRUE(received);
      if (!received || received->end) heard.end = true;
      if (!received || received->end || received->would_block) break;
      heard.body += as_text(ByteSpan(buffer).first(received->bytes));
      for (const Fd& fd : received->fds) heard.fds.push_back(target_of(fd.get()));
    }
    return heard;
  }

  Fd listener_;
  Fd connection_;
};

std::vector<std::string> keys_of(const std::string& body) {
  std::vector<std::string> keys;
  const auto json = nlohmann::ordered_json::parse(body);
  for (const auto& item : json.at(0).items()) keys.push_back(item.key());
  return keys;
}

TEST_F(HandshakeTest, EachGenerationSendsItsFieldsAndKeepsOrClosesTheSocket) {
  const auto vmm1 = start(options(Generation::kV1_1));
  const Heard v1_1 = hear(*vmm1);
  EXPECT_THAT(keys_of(v1_1.body), ElementsAre("base_host_virt_addr", "size", "offset"));
  EXPECT_THAT(v1_1.fds, ElementsAre("anon_inode:[userfaultfd]"));
  EXPECT_TRUE(v1_1.end);
  EXPECT_EQ(v1_1.pid, vmm1->pid());
  EXPECT_TRUE(vmm1->wait().passed()) << vmm1->wait().describe();

  ReplayVmmOptions two = options(Generation::kV1_7);
  two.regions = {{kPageBytes, 0}, {2 * kPageBytes, kPageBytes}};
  const auto vmm7 = start(two);
  const Heard v1_7 = hear(*vmm7);
  EXPECT_THAT(keys_of(v1_7.body),
              ElementsAre("base_host_virt_addr", "size", "offset", "page_size_kib"));
  const auto regions = nlohmann::json::parse(v1_7.body);
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_EQ(regions[1]["size"], 2 * kPageBytes);
  EXPECT_EQ(regions[1]["offset"], kPageBytes);
  EXPECT_EQ(regions[1]["page_size_kib"], 4096);
  EXPECT_TRUE(v1_7.end);

  ReplayVmmOptions kept = options(Generation::kV1_12);
  kept.handshake.unknown_field = true;
  kept.wait_for_peer_close = true;
  const auto vmm12 = start(kept);
  const Heard v1_12 = hear(*vmm12);
  EXPECT_THAT(keys_of(v1_12.body), ElementsAre("base_host_virt_addr", "size", "offset", "page_size",
                                               "page_size_kib", "numa_node"));
  EXPECT_FALSE(v1_12.end);
  EXPECT_FALSE(pidfd_has_exited(vmm12->pidfd()));
  connection_.reset();
  EXPECT_TRUE(vmm12->wait().passed()) << vmm12->wait().describe();
}

TEST_F(HandshakeTest, DescriptorsAndBytesAreSentAsTold) {
  ReplayVmmOptions vmm = options();
  using Passed = ReplayHandshake::Passed;
  vmm.handshake.raw_body = std::string("\xff\x00 no JSON", 10);
  vmm.handshake.fds = {Passed::kMemfd, Passed::kDevNull, Passed::kUffd};
  const auto three = start(vmm);
  const Heard heard = hear(*three);
  EXPECT_EQ(heard.body, *vmm.handshake.raw_body);
  EXPECT_THAT(heard.fds, ElementsAre(HasSubstr("memfd:"), "/dev/null", "anon_inode:[userfaultfd]"));
  vmm.handshake.fds = {};
  const auto none = start(vmm);
  EXPECT_THAT(hear(*none).fds, ElementsAre());
}

TEST_F(HandshakeTest, SilentCutAndHanging) {
  ReplayVmmOptions vmm = options();
  vmm.hold_before_exit = true;
  vmm.handshake.delivery = ReplayHandshake::Delivery::kSilent;
  const auto silent = start(vmm);
  const Heard nothing = hear(*silent);
  EXPECT_EQ(nothing.body, "");
  EXPECT_TRUE(nothing.fds.empty());
  EXPECT_FALSE(nothing.end);

  vmm.handshake.delivery = ReplayHandshake::Delivery::kCut;
  vmm.handshake.cut_at = 10;
  const auto hanging = start(vmm);
  const Heard half = hear(*hanging);
  EXPECT_EQ(half.body, "[{\"base_ho");
  EXPECT_THAT(half.fds, ElementsAre("anon_inode:[userfaultfd]"));
  EXPECT_FALSE(half.end);
  EXPECT_FALSE(pidfd_has_exited(hanging->pidfd()));
  hanging->proceed();
  EXPECT_TRUE(hanging->wait().passed()) << hanging->wait().describe();

  vmm.hold_before_exit = false;
  vmm.handshake.keep_socket_open = false;
  const auto closing = start(vmm);
  EXPECT_TRUE(hear(*closing).end);
}

TEST_F(ReplayVmmTest, AHandshakeInTwoPiecesServes) {
  ReplayVmmOptions vmm = options();
  vmm.handshake.delivery = ReplayHandshake::Delivery::kTwoPieces;
  vmm.touching.order = ReplayTouching::Order::kSequential;
  const ReplayVmmResult result = run(vmm);
  EXPECT_TRUE(result.passed()) << result.describe();
}

TEST_F(ReplayVmmTest, E2bSendsASecondDescriptor) {
  ReplayVmmOptions vmm = options();
  vmm.handshake.fds = {ReplayHandshake::Passed::kUffd, ReplayHandshake::Passed::kMemfd};
  vmm.touching.order = ReplayTouching::Order::kSequential;
  const ReplayVmmResult result = run(vmm);
  EXPECT_TRUE(result.passed()) << result.describe();
}

// --- ends and moments
// -----------------------------------------------------------------------------

TEST_F(ReplayVmmTest, KillsItselfAmongItsFaults) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.threads = 3;
  vmm.sigkill_after = 200;
  const ReplayVmmResult result = run(vmm);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_FALSE(result.exit);
  EXPECT_FALSE(result.report);
  EXPECT_GE(stats_.image_pages,
            197u);  // of the 200 touches begun, two were others' and one its own
  EXPECT_LT(stats_.image_pages, kPages);
}

TEST_F(ReplayVmmTest, ExitsRightAfterTheHandshake) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.exit_after = 0;
  const ReplayVmmResult result = run(vmm);
  EXPECT_EQ(result.exit, ReplayVmmExit::kDone);
  EXPECT_FALSE(result.report);
  EXPECT_FALSE(result.passed());
  EXPECT_EQ(stats_.faults, 0u);
}

TEST_F(ReplayVmmTest, ClosingOnlyTheSocketAndStallingDoNotEndIt) {
  ReplayVmmOptions vmm = options();
  vmm.touching.order = ReplayTouching::Order::kPermutation;
  vmm.touching.threads = 2;
  vmm.close_socket_after = 100;
  vmm.stall_after = 300;
  vmm.stall_ms = 30;
  const ReplayVmmResult result = run(vmm);
  ASSERT_TRUE(result.passed()) << result.describe();
  EXPECT_EQ(result.report->pages_touched, kPages);
  EXPECT_GE(result.report->touching_ns, 30'000'000u);
}

TEST_F(ReplayVmmTest, HoldsBeforeTouchingAndBeforeItsEnd) {
  start_handler();
  ReplayVmmOptions told = options();
  told.touching.order = ReplayTouching::Order::kSequential;
  told.hold_before_touching = true;
  told.hold_before_exit = true;
  const auto vmm = start(told);
  ASSERT_TRUE(vmm->wait_for(Event::kHandshakeSent));
  EXPECT_FALSE(pidfd_has_exited(vmm->pidfd()));
  vmm->proceed();
  ASSERT_TRUE(vmm->wait_for(Event::kReport));
  EXPECT_FALSE(pidfd_has_exited(vmm->pidfd()));
  vmm->proceed();
  EXPECT_TRUE(vmm->wait().passed()) << vmm->wait().describe();
  EXPECT_TRUE(pidfd_has_exited(vmm->pidfd()));
}

TEST_F(HandshakeTest, AFrozenGuestIsKilledByPidfdAndByTheDestructor) {
  ReplayVmmOptions told = options();
  told.touching.order = ReplayTouching::Order::kSequential;
  auto frozen = start(told);  // nobody serves its faults
  hear(*frozen);
  ASSERT_TRUE(kill_by_pidfd(frozen->pidfd(), SIGKILL));
  EXPECT_EQ(frozen->wait().signal, SIGKILL);

  auto dropped = start(told);
  hear(*dropped);
  const auto pidfd = open_pidfd(dropped->pid());
  ASSERT_TRUE(pidfd);
  dropped.reset();
  EXPECT_TRUE(pidfd_has_exited(pidfd->get()));
}

TEST_F(HandshakeTest, AWatchdogEndsAWaitThatWouldNotEnd) {
  ReplayVmmOptions told = options();
  told.hold_before_exit = true;
  const auto vmm = start(told);
  const ReplayVmmResult& result = vmm->wait(std::chrono::milliseconds(20));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.signal, SIGKILL);
}

TEST_F(ReplayVmmTest, SaysWhyItCannotRun) {
  ReplayVmmOptions told = options();  // nobody listens
  auto vmm = start(told);
  EXPECT_EQ(vmm->wait().exit, ReplayVmmExit::kFailed);
  EXPECT_THAT(vmm->wait().error, HasSubstr("cannot connect"));

  told.regions = {{2 * kImageBytes, 0}};
  vmm = start(told);
  EXPECT_EQ(vmm->wait().exit, ReplayVmmExit::kBadOptions);
  EXPECT_THAT(vmm->wait().error, HasSubstr("shorter than the regions"));

  told.regions = {{kPageBytes + 1, 0}};
  EXPECT_FALSE(ReplayVmm::start(told));
}

TEST(ReplayVmmOptionsTest, ComeBackFromJson) {
  ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_11);
  options.socket_path = "s";
  options.image_path = "i";
  options.regions = {{8192, 4096}};
  options.touching.order = ReplayTouching::Order::kTrace;
  options.touching.trace = {9, {{8, true, 77}}};
  options.touching.cores = {1, -1};
  options.handshake.raw_body = std::string("\xfe\x00", 2);
  options.changes = {{ReplayMapChange::Kind::kUnmap, 1, 2, 3}};
  options.sigkill_after = 5;
  options.thread_id = true;
  const std::string json = encode_options(options);
  const auto back = decode_options(json);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(encode_options(*back), json);
  EXPECT_EQ(back->touching.trace, options.touching.trace);
  EXPECT_EQ(back->handshake.raw_body, options.handshake.raw_body);
  EXPECT_TRUE(back->event_remove);
  EXPECT_TRUE(back->thread_id);
  EXPECT_FALSE(back->handshake.keep_socket_open);
  EXPECT_FALSE(decode_options("{\"socket_path\":\"s\",\"page_bytes\":\"x\"}"));
  EXPECT_FALSE(decode_options("{\"touching\":{\"order\":\"backwards\"}}"));
}

}  // namespace
}  // namespace thaw
