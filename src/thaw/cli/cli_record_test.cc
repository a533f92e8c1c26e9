// SPDX-License-Identifier: Apache-2.0
//
// The verb record and what show says afterwards: the real binary, replay VMMs that check every byte
// and whose touches are known, and a mount that is read.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <random>

#include "thaw/cli/cli_test.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/sys/uffd.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPages = 2048;  // of freeze_web()

Json event_of(ThawProcess& process) {
  const std::optional<std::string> line = process.read_line();
  if (!line) return {{"event", "none"}};
  return Json::parse(*line, nullptr, false);
}

class RecordTest : public CliTest {
 protected:
  void SetUp() override { freeze_web(); }

  std::string socket() const { return file("uffd.sock"); }
  std::string working_sets() const { return store() + "/0000000000000001/working_sets"; }
  /// The one working set's path; empty if there is none.
  std::string working_set() const {
    std::string found;
    if (!std::filesystem::exists(working_sets())) return found;
    for (const auto& entry : std::filesystem::directory_iterator(working_sets())) {
      EXPECT_EQ(found, "") << "more than one";
      found = entry.path();
    }
    return found;
  }

  std::unique_ptr<ThawProcess> record(std::vector<std::string> options) {
    options.insert(options.begin(), {"record", "web", "--json"});
    return start(std::move(options));
  }
  /// `count` different pages in random order, each third one written.
  static PageTrace trace(size_t count, uint64_t seed) {
    std::vector<uint64_t> pages(kPages);
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937_64(seed));
    PageTrace trace{kPages, {}};
    for (size_t i = 0; i < count; ++i) trace.events.push_back({pages[i], i % 3 == 0, 0});
    return trace;
  }
  static PageTrace without_times(PageTrace trace) {
    for (TraceEvent& event : trace.events) event.gap_ns = 0;
    return trace;
  }
};

class RecordUffdTest : public RecordTest {
 protected:
  void SetUp() override {
    if (const auto uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE); !uffd) {
      GTEST_SKIP() << uffd.error().message;
    }
    RecordTest::SetUp();
  }

  std::unique_ptr<ReplayVmm> vmm(const PageTrace& trace,
                                 std::function<void(ReplayVmmOptions&)> change = {}) {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = socket();
    options.image_path = file("memory");
    options.regions = {{kPages * kPageBytes, 0}};
    options.touching.order = ReplayTouching::Order::kTrace;
    options.touching.trace = trace;
    options.touching.check = ReplayTouching::Check::kAfterTrace;
    if (change) change(options);
    auto started = ReplayVmm::start(options);
    EXPECT_TRUE(started) << started.error().message;
    return std::move(*started);
  }

  /// A whole recording of the trace, ended by the guest's end; its event.
  Json record_trace(const PageTrace& trace, std::vector<std::string> options = {}) {
    options.insert(options.end(), {"--uffd", socket()});
    const auto server = record(options);
    EXPECT_EQ(event_of(*server)["event"], "ready");
    const auto guest = vmm(trace);
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(event_of(*server)["event"], "session_started");
    EXPECT_EQ(event_of(*server)["event"], "session_ended");
    const Json recorded = event_of(*server);
    EXPECT_EQ(recorded["event"], "recorded");
    EXPECT_EQ(event_of(*server)["event"], "tiers");
    const Outcome outcome = server->wait();
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return recorded;
  }
};

TEST_F(RecordUffdTest, WhatAGuestTouchedIsWhatShowTellsAndTheTraceSays) {
  EXPECT_EQ(run_json({"show", "web"})["working_set"]["recordings"], 0);
  expect_error({"show", "web", "--working-set"}, 3, "not_found");
  const PageTrace first = trace(300, 1);
  const Json recorded = record_trace(first);
  EXPECT_EQ(recorded["end"], "guest_left");
  EXPECT_EQ(recorded["pages"], 300);
  EXPECT_EQ(recorded["written_pages"], 100);
  EXPECT_EQ(recorded["recordings"], 1);
  EXPECT_FALSE(recorded.contains("overlap"));
  PageTrace second = trace(300, 1);
  for (size_t i = 0; i < 100; ++i) second.events.pop_back();
  const Json again = record_trace(second);
  EXPECT_EQ(again["recordings"], 2);
  EXPECT_NEAR(double(again["overlap"]), 200.0 / 300.0, 1e-9);

  EXPECT_EQ(run_json({"show", "web"})["working_set"]["recordings"], 2);
  const Json shown = run_json({"show", "web", "--working-set", "--trace", file("newest")});
  const Json& set = shown["working_set"];
  EXPECT_EQ(set["recordings"], 2);
  EXPECT_EQ(set["each"][0]["pages"], 300);
  EXPECT_EQ(set["each"][1]["pages"], 200);
  EXPECT_NEAR(double(set["each"][0]["written_share"]), 1.0 / 3, 0.01);
  EXPECT_EQ(set["union"]["pages"], 300);
  EXPECT_EQ(set["stable"]["pages"], 300);
  EXPECT_EQ(set["common"]["pages"], 200);
  EXPECT_NEAR(double(set["overlaps"][0]["jaccard"]), 200.0 / 300.0, 1e-9);
  EXPECT_TRUE(set["packs"].empty());
  // The image has 8 pages of data in each 24, so about a third of the pages is not zero.
  const double data = double(set["union"]["pages"]) - double(set["union"]["zero_pages"]);
  EXPECT_GT(data, 50);
  EXPECT_NEAR(double(set["union"]["amplification"]),
              double(set["union"]["chunk_bytes"]) / 4096 / data, 1e-6);

  EXPECT_EQ(without_times(*read_page_trace(file("newest"))), second);
  run_json({"show", "web", "--trace", file("oldest"), "--recording", "1"});
  EXPECT_EQ(without_times(*read_page_trace(file("oldest"))), first);
  expect_error({"show", "web", "--trace", file("x"), "--recording", "3"}, 3, "not_found");
  expect_error({"show", "web", "--recording", "1"}, 2, "invalid");

  const Outcome people = run({"show", "web", "--working-set"});
  EXPECT_THAT(people.out, HasSubstr("2 recordings, the newest of 200 pages"));
  EXPECT_THAT(people.out, HasSubstr("in half"));
  EXPECT_THAT(people.out, HasSubstr("0.667"));
  EXPECT_EQ(run({"verify", "web"}).exit_code, 0);
  EXPECT_EQ(record_trace(first, {"--replace"})["recordings"], 1);
}

TEST_F(RecordUffdTest, TheDriversSignalEndsTheRecordingAndServingGoesOn) {
  const auto server = record({"--uffd", socket(), "--vmstate", file("v")});
  EXPECT_EQ(event_of(*server)["event"], "vmstate");
  EXPECT_EQ(text_of(file("v")), text_of(file("vmstate")));
  EXPECT_EQ(event_of(*server)["event"], "ready");
  const PageTrace played = trace(250, 2);
  const auto guest = vmm(played, [](ReplayVmmOptions& options) {
    options.touching.every_page = true;
    options.hold_before_exit = true;
  });
  EXPECT_EQ(event_of(*server)["event"], "session_started");
  EXPECT_TRUE(guest->wait_for(ReplayVmmEvent::Kind::kReport));
  server->kill(SIGUSR1);
  const Json recorded = event_of(*server);
  EXPECT_EQ(recorded["event"], "recorded");
  EXPECT_EQ(recorded["end"], "told");
  EXPECT_NE(working_set(), "") << "written while the guest still runs";
  server->kill(SIGUSR1);  // once more changes nothing
  guest->proceed();
  EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
  EXPECT_EQ(event_of(*server)["event"], "session_ended");
  EXPECT_EQ(event_of(*server)["event"], "tiers");
  EXPECT_EQ(server->wait().exit_code, 0);
  EXPECT_EQ(run_json({"show", "web"})["working_set"]["recordings"], 1);
}

TEST_F(RecordUffdTest, EndsAtItsLimitsAndServesTheRest) {
  const PageTrace played = trace(400, 3);
  for (const auto& [options, end] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--limit-pages", "50"}, "pages"}, {{"--quiet-ms", "1"}, "quiet"}}) {
    SCOPED_TRACE(end);
    std::vector<std::string> arguments = options;
    arguments.insert(arguments.end(), {"--uffd", socket(), "--replace"});
    const auto server = record(arguments);
    EXPECT_EQ(event_of(*server)["event"], "ready");
    const auto guest = vmm(played, [](ReplayVmmOptions& fake) { fake.hold_before_exit = true; });
    EXPECT_EQ(event_of(*server)["event"], "session_started");
    const Json recorded = event_of(*server);
    EXPECT_EQ(recorded["event"], "recorded");
    EXPECT_EQ(recorded["end"], end);
    guest->proceed();
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(server->wait().exit_code, 0);
    PageTrace expected = played;
    expected.events.resize(recorded["pages"]);
    run_json({"show", "web", "--trace", file("t")});
    EXPECT_EQ(without_times(*read_page_trace(file("t"))), expected);
  }
}

TEST_F(RecordUffdTest, AGuestThatTouchesNothingLeavesTheOldOneAlone) {
  record_trace(trace(100, 4));
  const std::string before = text_of(working_set());
  const auto server = record({"--uffd", socket()});
  EXPECT_EQ(event_of(*server)["event"], "ready");
  const auto guest = vmm(
      {}, [](ReplayVmmOptions& options) { options.touching.order = ReplayTouching::Order::kNone; });
  guest->wait();
  const Outcome outcome = server->wait();
  EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
  EXPECT_THAT(outcome.out, HasSubstr("record_failed"));
  EXPECT_THAT(outcome.err, HasSubstr("is empty"));
  EXPECT_EQ(text_of(working_set()), before);
}

TEST_F(RecordUffdTest, KilledOrInterruptedInMidRunNothingIsWritten) {
  record_trace(trace(100, 5));
  const std::string before = text_of(working_set());
  for (const int signal : {SIGKILL, SIGTERM, SIGINT}) {
    SCOPED_TRACE(signal);
    std::filesystem::remove(socket());
    const auto server = record({"--uffd", socket()});
    EXPECT_EQ(event_of(*server)["event"], "ready");
    const auto guest =
        vmm(trace(300, 6), [](ReplayVmmOptions& options) { options.hold_before_exit = true; });
    EXPECT_TRUE(guest->wait_for(ReplayVmmEvent::Kind::kReport));
    server->kill(signal);
    const Outcome outcome = server->wait();
    EXPECT_EQ(outcome.exit_code, signal == SIGKILL ? -1 : 130) << outcome.err;
    if (signal != SIGKILL) {
      EXPECT_THAT(outcome.err, HasSubstr("abandoned after 300 pages"));
    }
    EXPECT_EQ(text_of(working_set()), before);
    EXPECT_EQ(run_json({"show", "web"})["working_set"]["recordings"], 1);
  }
}

TEST_F(RecordUffdTest, ARecordingStaysWithTheManifestThatWasOpened) {
  const auto server = record({"--uffd", socket()});
  const std::string opened = event_of(*server)["manifest"];
  make_image("memory2", kPages, 0, 77);
  ASSERT_EQ(run({"freeze", "web", "--replace", "--memory", file("memory2")}).exit_code, 0);
  const auto guest = vmm(trace(100, 7));
  EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
  EXPECT_EQ(server->wait().exit_code, 0);
  EXPECT_EQ(std::filesystem::path(working_set()).filename(), opened);
  EXPECT_EQ(run_json({"show", "web"})["working_set"]["recordings"], 0);
}

TEST_F(RecordUffdTest, AWorkingSetThatIsBadIsNamedAndCanBeReplaced) {
  record_trace(trace(100, 8));
  const std::string path = working_set();
  const Bytes good = *read_file(path, kMiB);
  Bytes flipped = good;
  flipped[flipped.size() / 2] ^= std::byte{1};
  Bytes foreign = good;
  foreign[40] ^= std::byte{1};  // of the manifest id that it is bound to
  for (const Bytes* bad : {&flipped, &foreign}) {
    ASSERT_TRUE(replace_file(path, *bad, 0600));
    const Json shown = run_json({"show", "web"});
    EXPECT_TRUE(shown["working_set"].contains("error")) << shown;
    EXPECT_THAT(run({"show", "web"}).out, HasSubstr("cannot be read"));
    const Outcome whole = run({"show", "web", "--working-set"});
    EXPECT_THAT(whole.exit_code, testing::AnyOf(5, 6)) << whole.err;
    EXPECT_THAT(whole.err, HasSubstr("working_sets/"));
    EXPECT_NE(run({"verify", "web"}).exit_code, 0);
    const Outcome refused = run({"record", "web", "--uffd", socket()});
    EXPECT_THAT(refused.exit_code, testing::AnyOf(5, 6)) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("--replace starts anew"));
  }
  EXPECT_EQ(record_trace(trace(100, 9), {"--replace"})["recordings"], 1);
  EXPECT_EQ(run({"verify", "web"}).exit_code, 0);
}

TEST_F(RecordUffdTest, ARestoreThatMeetsABadWorkingSetGoesOnWithout) {
  record_trace(trace(100, 8));
  const auto strategy_of_a_restore = [&](const std::vector<std::string>& options) {
    std::vector<std::string> arguments{"restore", "web", "--uffd", socket(), "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const auto server = start(std::move(arguments));
    EXPECT_EQ(event_of(*server)["event"], "ready");
    const auto guest = vmm(trace(100, 8));
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(event_of(*server)["event"], "session_started");
    const Json ended = event_of(*server);
    EXPECT_EQ(server->wait().exit_code, 0);
    return std::string(ended["strategy"]);
  };
  EXPECT_EQ(strategy_of_a_restore({}), "chunks");
  EXPECT_EQ(strategy_of_a_restore({"--strategy", "reap"}), "reap");
  Bytes flipped = *read_file(working_set(), kMiB);
  flipped[flipped.size() / 2] ^= std::byte{1};
  ASSERT_TRUE(replace_file(working_set(), flipped, 0600));
  EXPECT_EQ(strategy_of_a_restore({}), "on-demand");
  const Outcome refused = run({"restore", "web", "--uffd", socket(), "--strategy", "reap"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("needs a working set"));
}

TEST_F(RecordUffdTest, ItFollowsItsManifestWhenTheKeyIsRotated) {
  record_trace(trace(100, 10));
  const std::string before = working_set();
  ASSERT_EQ(run({"key", "rotate"}).exit_code, 0);
  EXPECT_NE(working_set(), before);
  ASSERT_EQ(run({"key", "drop-retired"}).exit_code, 0);
  EXPECT_EQ(run_json({"show", "web", "--working-set"})["working_set"]["each"][0]["pages"], 100);
  EXPECT_EQ(record_trace(trace(100, 10))["overlap"], 1);
}

TEST_F(RecordTest, WhatCannotBeRecordedIsRefusedAtOnce) {
  ASSERT_EQ(run({"freeze", "disk", "--disk", "root=" + file("root")}).exit_code, 0);
  expect_error({"record", "disk", "--uffd", socket()}, 2, "invalid");
  expect_error({"record", "nix", "--uffd", socket()}, 3, "not_found");
  expect_error({"record", "web"}, 2, "invalid");
  expect_error({"record", "web", "--uffd", socket(), "--mount", file("m")}, 2, "invalid");
  expect_error({"record", "web", "--uffd", socket(), "--limit-s", "0"}, 2, "invalid");
  expect_error({"record", "web", "--uffd", socket(), "--limit-pages", "0"}, 2, "invalid");
  EXPECT_FALSE(std::filesystem::exists(socket()));
  EXPECT_EQ(working_set(), "");
}

class RecordMountTest : public RecordTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "mounting needs root and /dev/fuse";
    }
    RecordTest::SetUp();
    ASSERT_TRUE(make_directories(mountpoint()));
  }
  std::string mountpoint() const { return file("mnt"); }

  /// Reads the first byte of each of these pages through a private mapping, as QEMU has one.
  void touch(const PageTrace& trace) const {
    const std::string oracle = text_of(file("memory"));
    const Fd fd(::open((mountpoint() + "/web/memory").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(static_cast<bool>(fd));
    void* const memory =
        ::mmap(nullptr, oracle.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd.get(), 0);
    ASSERT_NE(memory, MAP_FAILED);
    for (const TraceEvent& event : trace.events) {
      const size_t at = event.page * kPageBytes;
      EXPECT_EQ(std::string_view(static_cast<const char*>(memory) + at, kPageBytes),
                std::string_view(oracle).substr(at, kPageBytes))
          << event.page;
    }
    ::munmap(memory, oracle.size());
  }
  static PageTrace reads(size_t count, uint64_t seed) {
    PageTrace made = trace(count, seed);
    for (TraceEvent& event : made.events) event.write = false;
    return made;
  }
};

TEST_F(RecordMountTest, RecordsTheReadsOfTheMemoryInOrderAndGoesOn) {
  const auto server = record({"--mount", mountpoint()});
  ASSERT_EQ(event_of(*server)["event"], "mounted");
  const PageTrace played = reads(300, 11);
  touch(played);
  EXPECT_EQ(text_of(mountpoint() + "/web/vmstate"), text_of(file("vmstate")));
  server->kill(SIGUSR1);
  const Json recorded = event_of(*server);
  EXPECT_EQ(recorded["event"], "recorded");
  EXPECT_EQ(recorded["end"], "told");
  EXPECT_EQ(recorded["pages"], 300);
  EXPECT_EQ(recorded["written_pages"], 0);
  EXPECT_EQ(text_of(mountpoint() + "/web/memory"), text_of(file("memory")));
  server->kill(SIGINT);
  EXPECT_EQ(event_of(*server)["event"], "unmounted");
  EXPECT_EQ(server->wait().exit_code, 0);
  run_json({"show", "web", "--trace", file("t")});
  EXPECT_EQ(without_times(*read_page_trace(file("t"))), played);
}

TEST_F(RecordMountTest, AnUnmountEndsTheRecordingInGoodOrderAndASignalDoesNot) {
  const auto server = record({"--mount", mountpoint()});
  ASSERT_EQ(event_of(*server)["event"], "mounted");
  touch(reads(20, 12));
  unmount(mountpoint());
  EXPECT_EQ(event_of(*server)["end"], "guest_left");
  EXPECT_EQ(server->wait().exit_code, 0);
  const std::string before = text_of(working_set());

  const auto stopped = record({"--mount", mountpoint()});
  ASSERT_EQ(event_of(*stopped)["event"], "mounted");
  touch(reads(30, 13));
  stopped->kill(SIGTERM);
  EXPECT_EQ(stopped->wait().exit_code, 130);
  EXPECT_EQ(text_of(working_set()), before);
}

}  // namespace
}  // namespace thaw
