// SPDX-License-Identifier: Apache-2.0
//
// The program over S3, a zone of memcached servers and a disk cache.
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "thaw/cli/cli_test.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/testing/s3_server.h"
#include "thaw/zone/memcached_process.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class CliTierTest : public CliTest {
 protected:
  void SetUp() override {
    server_ = *S3Server::start();
    environment_["THAW_STORE"] = "s3://" + server_->options().buckets.at(0) + "/prod";
    environment_["THAW_CONFIG"] = file("thaw.toml");
    if (MemcachedProcess::unavailable().empty()) {
      for (int i = 0; i < 5; ++i) nodes_.push_back(*MemcachedProcess::start());
    }
    write_config(nodes_.size());
    make_image("memory", 2048, 0, 1);
  }
  void TearDown() override {
    EXPECT_THAT(server_->violations(), testing::IsEmpty()) << server_->describe();
  }

  void write_config(size_t nodes) {
    const S3Account& account = server_->options().account;
    std::string text = "[s3]\nendpoint = \"" + server_->endpoint() + "\"\nregion = \"" +
                       account.region + "\"\naccess_key_id = \"" + account.access_key +
                       "\"\nsecret_access_key = \"" + account.secret_key +
                       "\"\n[local]\npath = \"" + file("cache") +
                       "\"\nsize = \"16MiB\"\nslot_size = \"64KiB\"\n";
    if (nodes > 0) {
      text += "[zone]\nget_timeout_ms = 20000\nstall_timeout_ms = 20000\nnodes = [";
      for (size_t i = 0; i < nodes; ++i) text += "\"" + nodes_[i]->address() + "\", ";
      text += "]\n";
    }
    write("thaw.toml", text);
  }
  void freeze_into_s3(const std::vector<std::string>& more = {}) {
    ASSERT_EQ(run({"init"}).exit_code, 0);
    std::vector<std::string> arguments{"freeze",       "web",          "--memory",
                                       file("memory"), "--chunk-size", "64KiB"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome frozen = run(arguments);
    ASSERT_EQ(frozen.exit_code, 0) << frozen.err;
  }
  ReplayVmmOptions vmm_options() const {
    ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
    options.socket_path = file("vmm.sock");
    options.image_path = file("memory");
    options.regions = {{2048 * kPageBytes, 0}};
    options.touching.order = ReplayTouching::Order::kPermutation;
    options.touching.every_page = true;
    return options;
  }
  /// One restore, every byte compared; the counters of its tiers.
  Json restore_once() {
    const auto serving = start({"restore", "web", "--uffd", file("vmm.sock"), "--json"});
    EXPECT_THAT(serving->read_line().value_or(""), HasSubstr("ready"));
    const ReplayVmmResult vmm = (*ReplayVmm::start(vmm_options()))->wait();
    EXPECT_TRUE(vmm.passed()) << vmm.describe();
    Json tiers;
    while (const auto line = serving->read_line()) {
      const Json event = Json::parse(*line);
      if (event.contains("tiers")) tiers = event["tiers"];
    }
    const Outcome ended = serving->wait();
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return tiers;
  }

  std::unique_ptr<S3Server> server_;
  std::vector<std::unique_ptr<MemcachedProcess>> nodes_;
};

#define SKIP_WITHOUT_MEMCACHED() \
  if (const std::string why = MemcachedProcess::unavailable(); !why.empty()) GTEST_SKIP() << why

TEST_F(CliTierTest, FreezesIntoS3AndVerifiesAndExportsFromThere) {
  write_config(0);
  freeze_into_s3();
  EXPECT_EQ(run_json({"verify", "web"})["good"], true);
  ASSERT_EQ(run({"export", "web", "--memory", file("copy")}).exit_code, 0);
  EXPECT_EQ(text_of(file("copy")), text_of(file("memory")));
  EXPECT_EQ(run_json({"ls"})["snapshots"][0]["name"], "web");
  EXPECT_EQ(run({"key", "rotate"}).exit_code, 0);
  EXPECT_EQ(run_json({"verify", "--all"})["good"], true);
  EXPECT_EQ(run({"rm", "web"}).exit_code, 0);
}

TEST_F(CliTierTest, APrimedZoneServesAndThenTheDisk) {
  SKIP_WITHOUT_MEMCACHED();
  freeze_into_s3({"--prime-zone"});
  server_->forget();
  Json tiers = restore_once();
  EXPECT_GT(tiers["zone"]["hits"], 0);
  EXPECT_EQ(tiers["zone"]["misses"], 0);
  EXPECT_EQ(tiers["origin"]["chunks"], 0);
  nodes_.clear();
  tiers = restore_once();
  EXPECT_GT(tiers["local"]["hits"], 0);
  EXPECT_EQ(tiers["local"]["misses"], 0);
  EXPECT_EQ(tiers["origin"]["chunks"], 0);
}

TEST_F(CliTierTest, WarmFillsWhatIsAskedForAndStatusShowsIt) {
  SKIP_WITHOUT_MEMCACHED();
  freeze_into_s3();
  Json status = run_json({"tier", "status"});
  EXPECT_EQ(status["local"]["error"], "not_found");
  EXPECT_EQ(status["zone"]["nodes_up"], 5);
  EXPECT_EQ(status["origin"]["usable"], true);
  const Json warmed = run_json({"warm", "web"})["warmed"];
  ASSERT_EQ(warmed.size(), 2u);
  EXPECT_EQ(warmed[0]["from_origin"], warmed[0]["chunks"]);
  EXPECT_EQ(warmed[1]["from_zone"], warmed[1]["chunks"]);
  EXPECT_EQ(warmed[1]["not_kept"], 0);
  EXPECT_EQ(run_json({"warm", "web", "--local"})["warmed"][0]["from_local"], warmed[0]["chunks"]);
  status = run_json({"tier", "status"});
  EXPECT_EQ(status["local"]["slots_used"], warmed[0]["chunks"]);
  nodes_[0]->kill();
  nodes_[1]->kill();
  status = run_json({"tier", "status"});
  EXPECT_EQ(status["zone"]["nodes_up"], 3);
  EXPECT_EQ(status["zone"]["usable"], false);
}

TEST_F(CliTierTest, ScrubFindsWhatIsDamaged) {
  SKIP_WITHOUT_MEMCACHED();
  freeze_into_s3();
  ASSERT_EQ(run({"warm", "web"}).exit_code, 0);
  Json scrubbed = run_json({"scrub"});
  EXPECT_EQ(scrubbed["local"]["corrupt"], 0);
  EXPECT_EQ(scrubbed["zone"]["readable"], scrubbed["zone"]["chunks"]);
  EXPECT_EQ(scrubbed["local"]["chunks_good"], scrubbed["zone"]["chunks"]);
  // One bit in the ciphertext of the first slot, and a server that lost everything.
  const Fd cache = *open_file(file("cache"), O_RDWR);
  std::byte one{};
  constexpr uint64_t kInFirstChunk = 8192 + 4096 + 100;
  ASSERT_TRUE(read_exact_at(cache.get(), kInFirstChunk, {&one, 1}, "cache"));
  one ^= std::byte{1};
  ASSERT_TRUE(write_all_at(cache.get(), kInFirstChunk, {&one, 1}, "cache"));
  ASSERT_TRUE(nodes_[2]->restart());
  scrubbed = run_json({"scrub"});
  EXPECT_EQ(scrubbed["local"]["corrupt"], 1);
  EXPECT_GT(scrubbed["zone"]["stripes_missing"], 0);
  EXPECT_EQ(scrubbed["zone"]["stripes_rewritten"], scrubbed["zone"]["stripes_missing"]);
  scrubbed = run_json({"scrub"});
  EXPECT_EQ(scrubbed["local"]["corrupt"], 0);
  EXPECT_EQ(scrubbed["zone"]["stripes_missing"], 0);
}

TEST_F(CliTierTest, NodesAreReadAgainOnHangup) {
  SKIP_WITHOUT_MEMCACHED();
  freeze_into_s3();
  write_config(4);
  const auto serving = start({"restore", "web", "--uffd", file("vmm.sock"), "--json", "--log-level",
                              "info", "--sessions", "0"});
  ASSERT_THAT(serving->read_line().value_or(""), HasSubstr("ready"));
  write_config(5);
  serving->kill(SIGHUP);
  const auto reloaded = [&] {
    return text_of(file("stderr")).find("5 nodes") != std::string::npos;
  };
  while (!reloaded()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  write("thaw.toml", "[zone]\nnodes = 5\n");
  serving->kill(SIGHUP);
  const auto refused = [&] { return text_of(file("stderr")).find("stay") != std::string::npos; };
  while (!refused()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const ReplayVmmResult vmm = (*ReplayVmm::start(vmm_options()))->wait();
  EXPECT_TRUE(vmm.passed()) << vmm.describe();
  serving->kill(SIGTERM);
  EXPECT_EQ(serving->wait().exit_code, 0);
}

TEST_F(CliTierTest, TheDoctorLooksAtEveryTier) {
  SKIP_WITHOUT_MEMCACHED();
  ASSERT_EQ(run({"init"}).exit_code, 0);
  const auto found = [&](const std::string& check) {
    const Json report = Json::parse(run({"doctor", "--json"}).out);
    for (const Json& one : report["checks"]) {
      if (one["check"] == check)
        return std::string(one["health"]) + ": " + std::string(one["found"]);
    }
    return std::string("no such check");
  };
  EXPECT_THAT(found("store"), HasSubstr("ok: s3://"));
  EXPECT_EQ(found("store writable"), "no such check");
  EXPECT_THAT(found("disk cache"), HasSubstr("ok: "));
  EXPECT_EQ(found("zone"), "ok: 5 nodes, all up");
  nodes_[3]->kill();
  EXPECT_THAT(found("zone"), HasSubstr(nodes_[3]->address()));
}

TEST_F(CliTierTest, WhatIsWrongIsSaidClearly) {
  ASSERT_EQ(run({"init"}).exit_code, 0);
  write("thaw.toml", "");
  Variables variables = environment_;
  EXPECT_THAT(expect_error({"warm", "web"}, 2, "invalid"), HasSubstr("no tier to fill"));
  EXPECT_THAT(expect_error({"scrub"}, 2, "invalid"), HasSubstr("nothing to scrub"));
  EXPECT_THAT(
      expect_error({"freeze", "x", "--memory", file("memory"), "--prime-zone"}, 2, "invalid"),
      HasSubstr("[zone]"));
  write_config(0);
  ASSERT_EQ(::chmod(file("thaw.toml").c_str(), 0644), 0);
  EXPECT_THAT(expect_error({"ls"}, 6, "denied"), HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(file("thaw.toml").c_str(), 0600), 0);
  server_->set_clock_offset(std::chrono::hours(2));
  EXPECT_THAT(expect_error({"ls"}, 6, "denied"), HasSubstr("clock"));
  server_->set_clock_offset(std::chrono::seconds(0));
  environment_["THAW_STORE"] = "s3://no-such-bucket/x";
  EXPECT_THAT(expect_error({"tier", "status"}, 2, "invalid"), HasSubstr("no-such-bucket"));
}

}  // namespace
}  // namespace thaw
