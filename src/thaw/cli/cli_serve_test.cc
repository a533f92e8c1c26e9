// SPDX-License-Identifier: Apache-2.0
//
// The verbs that serve: restore against replay VMMs that check every byte, mount through the
// kernel.
#include <filesystem>

#include "thaw/cli/cli_test.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/sys/uffd.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

using testing::HasSubstr;

Json event_of(ThawProcess& process) {
  const std::optional<std::string> line = process.read_line();
  if (!line) return {{"event", "none"}};
  return Json::parse(*line, nullptr, false);
}

class RestoreTest : public CliTest {
 protected:
  void SetUp() override {
    if (const auto uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE); !uffd) {
      GTEST_SKIP() << uffd.error().message;
    }
    freeze_web();
  }

  std::string socket() const { return file("uffd.sock"); }
  std::unique_ptr<ThawProcess> restore(std::vector<std::string> options) {
    options.insert(options.begin(), {"restore", "web", "--uffd", socket(), "--json"});
    return start(std::move(options));
  }
  std::unique_ptr<ReplayVmm> vmm(std::function<void(ReplayVmmOptions&)> change = {}) {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = socket();
    options.image_path = file("memory");
    options.regions = {{2048 * kPageBytes, 0}};
    options.touching.order = ReplayTouching::Order::kPermutation;
    if (change) change(options);
    auto started = ReplayVmm::start(options);
    EXPECT_TRUE(started) << started.error().message;
    return std::move(*started);
  }
};

TEST_F(RestoreTest, ServesAVmmAndEndsWithIt) {
  const auto server = restore({"--vmstate", file("v")});
  const Json exported = event_of(*server);
  EXPECT_EQ(exported["event"], "vmstate");
  EXPECT_EQ(text_of(file("v")), text_of(file("vmstate")));
  const Json ready = event_of(*server);
  EXPECT_EQ(ready["event"], "ready");
  EXPECT_EQ(ready["memory_bytes"], 2048 * 4096);
  const auto guest = vmm();
  EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
  const Json started = event_of(*server);
  EXPECT_EQ(started["event"], "session_started");
  EXPECT_EQ(started["vmm_pid"], guest->pid());
  const Json ended = event_of(*server);
  EXPECT_EQ(ended["event"], "session_ended");
  EXPECT_THAT(std::string(ended["end"]), testing::AnyOf("vmm_exited", "complete"));
  EXPECT_GT(ended["faults"], 0);
  const Json tiers = event_of(*server)["tiers"];
  EXPECT_GT(tiers["origin"]["chunks"], 0);
  EXPECT_EQ(tiers["memory"]["misses"], tiers["origin"]["chunks"]);
  const Outcome outcome = server->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(RestoreTest, EveryWayToFillServesTheSame) {
  for (const std::vector<std::string>& options :
       std::vector<std::vector<std::string>>{{"--fill", "page"},
                                             {"--prefault", "all", "--threads", "3"},
                                             {"--fault-core", "0"},
                                             {"--placement", "none"},
                                             {"--placement", "follow", "--fault-cores", "0-1"}}) {
    SCOPED_TRACE(testing::PrintToString(options));
    const auto server = restore(options);
    EXPECT_EQ(event_of(*server)["event"], "ready");
    const auto guest = vmm([](ReplayVmmOptions& fake) { fake.touching.write_percent = 50; });
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(server->wait().exit_code, 0);
  }
}

TEST_F(RestoreTest, PeopleReadLines) {
  const auto server = start({"restore", "web", "--uffd", socket()});
  EXPECT_THAT(server->read_line().value_or(""), HasSubstr("ready: web, 8.0 MiB"));
  const auto guest = vmm();
  EXPECT_TRUE(guest->wait().passed());
  const Outcome outcome = server->wait();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("started"));
  EXPECT_THAT(outcome.out, HasSubstr("faults"));
}

TEST_F(RestoreTest, ManySessionsUntilASignal) {
  const auto server = restore({"--sessions", "0"});
  EXPECT_EQ(event_of(*server)["event"], "ready");
  const auto first = vmm();
  const auto second = vmm();
  EXPECT_TRUE(first->wait().passed());
  EXPECT_TRUE(second->wait().passed());
  for (int i = 0; i < 4; ++i)
    EXPECT_THAT(std::string(event_of(*server)["event"]), HasSubstr("session_"));
  server->kill(SIGTERM);
  const Outcome outcome = server->wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(socket()));
}

TEST_F(RestoreTest, ClonesShareWhatTheFirstHasDecrypted) {
  {
    const auto recorder = start({"record", "web", "--uffd", socket(), "--json"});
    EXPECT_EQ(event_of(*recorder)["event"], "ready");
    const auto guest = vmm();
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(recorder->wait().exit_code, 0);
  }
  const auto server = restore({"--clones", "3", "--strategy", "reap"});
  EXPECT_EQ(event_of(*server)["event"], "ready");
  for (int i = 0; i < 3; ++i) {
    const auto guest = vmm();
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
    EXPECT_EQ(event_of(*server)["event"], "session_started");
    const Json ended = event_of(*server);
    EXPECT_EQ(ended["strategy"], "reap");
    // The guest was held until all of it was there, and with the first clone it was decrypted.
    if (i == 0) {
      EXPECT_EQ(ended["plain_hits"], 0);
    } else {
      EXPECT_GT(ended["plain_hits"], 0);
    }
  }
  const Json last = event_of(*server);
  EXPECT_GT(last["plain"]["fills"], 0);
  EXPECT_EQ(last["plain"]["refused"], 0);
  EXPECT_EQ(last["tiers"]["memory"]["misses"], last["tiers"]["origin"]["chunks"]);
  EXPECT_EQ(server->wait().exit_code, 0);
}

TEST_F(RestoreTest, AReaderThatLeavesDoesNotEndTheServer) {
  const std::string command = std::string(THAW_BINARY) + " restore web --sessions 2 --uffd " +
                              socket() + " | head -n 1; wait; exit ${PIPESTATUS[0]}";
  // The pipeline ends with its slower half, the server.
  ThawProcess shell("/bin/bash", {"-c", command}, environment_, file("stderr"));
  EXPECT_THAT(shell.read_line().value_or(""), HasSubstr("ready"));
  for (int i = 0; i < 2; ++i) {
    const auto guest = vmm();
    EXPECT_TRUE(guest->wait().passed()) << guest->wait().describe();
  }
  EXPECT_THAT(shell.wait().err, HasSubstr("serving goes on"));
}

TEST_F(RestoreTest, ADamagedChunkFailsTheSessionAndTheExitCode) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store())) {
    const std::string path = entry.path();
    if (!entry.is_regular_file() || path.find("/chunks/") == std::string::npos) continue;
    Bytes bytes = *read_file(path, kGiB);
    bytes[0] ^= std::byte{1};
    ASSERT_TRUE(replace_file(path, bytes, 0600));
  }
  const auto server = restore({});
  EXPECT_EQ(event_of(*server)["event"], "ready");
  const auto guest = vmm();
  EXPECT_FALSE(guest->wait().passed());
  EXPECT_EQ(guest->wait().report, std::nullopt) << "a wrong page was served";
  EXPECT_EQ(event_of(*server)["event"], "session_started");
  const Json ended = event_of(*server);
  EXPECT_EQ(ended["end"], "failed");
  EXPECT_NE(ended["message"], "");
  EXPECT_GT(event_of(*server)["tiers"]["origin"]["corrupt"], 0);
  const Outcome outcome = server->wait();
  EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
  EXPECT_EQ(outcome.json()["error"]["code"], "corrupt");
}

TEST_F(RestoreTest, WhatCannotBeServedIsRefusedAtOnce) {
  ASSERT_EQ(run({"freeze", "disk", "--disk", "root=" + file("root")}).exit_code, 0);
  expect_error({"restore", "disk", "--uffd", socket()}, 2, "invalid");
  expect_error({"restore", "nix", "--uffd", socket()}, 3, "not_found");
  expect_error({"restore", "web", "--uffd", std::string(200, 's')}, 2, "invalid");
  expect_error({"restore", "web", "--uffd", file("memory")}, 2, "invalid");
  expect_error({"restore", "web", "--uffd", socket(), "--fill", "page", "--prefault", "all"}, 2,
               "invalid");
  expect_error({"restore", "web", "--uffd", socket(), "--sessions", "-1"}, 2, "invalid");
  write("v", "taken");
  expect_error({"restore", "web", "--uffd", socket(), "--vmstate", file("v")}, 4, "exists");
  EXPECT_FALSE(std::filesystem::exists(socket()));
  const auto server = restore({});
  EXPECT_EQ(event_of(*server)["event"], "ready");
  expect_error({"restore", "web", "--uffd", socket()}, 4, "exists");
  server->kill(SIGINT);
  EXPECT_EQ(server->wait().exit_code, 0);
}

class MountTest : public CliTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || ::access("/dev/fuse", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "mounting needs root and /dev/fuse";
    }
    freeze_web();
    ASSERT_TRUE(make_directories(mountpoint()));
  }
  std::string mountpoint() const { return file("mnt"); }
};

TEST_F(MountTest, ShowsTheSnapshotsUntilASignal) {
  const auto server = start({"mount", mountpoint(), "--json"});
  const Json mounted = event_of(*server);
  ASSERT_EQ(mounted["event"], "mounted") << server->wait().err;
  EXPECT_EQ(text_of(mountpoint() + "/web/memory"), text_of(file("memory")));
  EXPECT_EQ(text_of(mountpoint() + "/web/vmstate"), text_of(file("vmstate")));
  EXPECT_EQ(text_of(mountpoint() + "/web/disks/root"), text_of(file("root")));
  server->kill(SIGINT);
  const Json unmounted = event_of(*server);
  EXPECT_EQ(unmounted["event"], "unmounted");
  EXPECT_GT(unmounted["reads"], 0);
  EXPECT_EQ(server->wait().exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(mountpoint()));
}

TEST_F(MountTest, EndsWithAnUnmount) {
  const auto server = start({"mount", mountpoint()});
  ASSERT_THAT(server->read_line().value_or(""), HasSubstr("mounted: tenant default"));
  unmount(mountpoint());
  EXPECT_EQ(server->wait().exit_code, 0);
}

TEST_F(MountTest, RefusesWhatIsNoMountpoint) {
  expect_error({"mount", file("nowhere")}, 2, "invalid");
  expect_error({"mount", store()}, 2, "invalid");
  expect_error({"mount", mountpoint(), "--threads", "0"}, 2, "invalid");
  EXPECT_EQ(run({"mount"}).exit_code, 2);
}

}  // namespace
}  // namespace thaw
