// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace thaw {
namespace {

using testing::HasSubstr;

TEST(Config, AnEmptyFileHasTheModulesDefaults) {
  const Config config = parse_config("", "thaw.toml").value();
  EXPECT_EQ(config.store, std::nullopt);
  EXPECT_EQ(config.freeze.chunk_bytes, kChunkBytesDefault);
  EXPECT_EQ(config.restore.session.prefault, Prefault::kNone);
  EXPECT_EQ(config.restore_memory_bytes, MemoryTierOptions().bytes_max);
  EXPECT_EQ(config.mount.threads, MountOptions().threads);
}

TEST(Config, EveryKeyArrives) {
  const Config config = parse_config(R"(
store = "dir:/var/lib/thaw"
tenant = "acme"
keyring = "/etc/keys"
[freeze]
chunk_size = "128KiB"
threads = 3
[restore]
memory_tier_bytes = 67108864
threads = 4
prefault = "all"
fill = "chunk"
placement = "cores"
fault_cores = [2, 5]
plain_bytes_max = "64MiB"
handshake_timeout_ms = 250
[record]
quiet_ms = 500
limit_pages = 1000
limit_s = 30
[mount]
memory_tier_bytes = "1GiB"
threads = 2
allow_other = true
isolate_writers = true
name_timeout_s = 2
readahead_kb = 512
)",
                                     "thaw.toml")
                            .value();
  EXPECT_EQ(config.store, "dir:/var/lib/thaw");
  EXPECT_EQ(config.tenant, "acme");
  EXPECT_EQ(config.keyring, "/etc/keys");
  EXPECT_EQ(config.freeze.chunk_bytes, 128u * 1024);
  EXPECT_EQ(config.freeze.threads, 3u);
  EXPECT_EQ(config.restore_memory_bytes, 64u << 20);
  EXPECT_EQ(config.restore_workers.threads, 4u);
  EXPECT_EQ(config.restore.session.prefault, Prefault::kAll);
  EXPECT_EQ(config.restore.session.fill, Fill::kChunk);
  EXPECT_EQ(config.restore.plain_bytes_max, 64 * kMiB);
  EXPECT_EQ(config.restore.session.placement.placement, CorePolicy::kCores);
  EXPECT_EQ(config.restore.session.placement.cores, CoreSet({2, 5}));
  EXPECT_EQ(config.restore.handshake_timeout_ms, 250u);
  EXPECT_EQ(config.record.quiet_ms, 500u);
  EXPECT_EQ(config.record.pages_max, 1000u);
  EXPECT_EQ(config.record.time_max_s, 30u);
  EXPECT_EQ(config.mount_memory_bytes, 1u << 30);
  EXPECT_EQ(config.mount.threads, 2u);
  EXPECT_TRUE(config.mount.allow_other);
  EXPECT_TRUE(config.mount.isolate_writers);
  EXPECT_EQ(config.mount.name_timeout_s, 2.0);
  EXPECT_EQ(config.mount.readahead_kb, 512u);
}

struct Wrong {
  const char* text;
  const char* line;
  const char* key;
};

class WrongConfig : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfig, IsRefusedWithItsKeyAndLine) {
  const auto config = parse_config(GetParam().text, "thaw.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().line));
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().key));
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongConfig,
    testing::Values(
        Wrong{"stor = \"x\"", "line 1", "stor"}, Wrong{"\nstore = 1", "line 2", "store"},
        Wrong{"store = \"\"", "line 1", "store"}, Wrong{"store = \"a\\u0000b\"", "line 1", "store"},
        Wrong{"tenant = true", "line 1", "tenant"}, Wrong{"keyring = [\"a\"]", "line 1", "keyring"},
        Wrong{"freeze = 1", "line 1", "freeze"}, Wrong{"[freez]\nthreads = 1", "line 1", "freez"},
        Wrong{"[freeze]\nchunk = 1", "line 2", "freeze.chunk"},
        Wrong{"[freeze]\nchunk_size = 1000", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nchunk_size = \"512k\"", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nchunk_size = \"8MiB\"", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nchunk_size = 4294983680", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nchunk_size = -1", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nchunk_size = 65536.0", "line 2", "freeze.chunk_size"},
        Wrong{"[freeze]\nthreads = 1025", "line 2", "freeze.threads"},
        Wrong{"[freeze]\nthreads = \"1\"", "line 2", "freeze.threads"},
        Wrong{"[restore]\n\nfill = \"pages\"", "line 3", "restore.fill"},
        Wrong{"[restore]\nprefault = true", "line 2", "restore.prefault"},
        Wrong{"[restore]\nprefault = \"all\"\nfill = \"page\"", "thaw.toml", "prefault"},
        Wrong{"[restore]\nmemory_tier_bytes = 1", "line 2", "restore.memory_tier_bytes"},
        Wrong{"[restore]\nhandshake_timeout_ms = 0", "line 2", "restore.handshake_timeout_ms"},
        Wrong{"[record]\nlimit_s = 0", "line 2", "record.limit_s"},
        Wrong{"[record]\nlimit_pages = 16777217", "line 2", "record.limit_pages"},
        Wrong{"[record]\nquiet_ms = -1", "line 2", "record.quiet_ms"},
        Wrong{"[restore]\nfault_cores = [0, -1]", "line 2", "restore.fault_cores"},
        Wrong{"[restore]\nfault_cores = 2", "line 2", "a list"},
        Wrong{"[restore]\nplacement = \"near\"", "line 2", "restore.placement"},
        Wrong{"[restore]\nplacement = \"cores\"", "thaw.toml", "fault_cores"},
        Wrong{"[mount]\nallow_other = 1", "line 2", "mount.allow_other"},
        Wrong{"[mount]\nname_timeout_s = -1", "line 2", "mount.name_timeout_s"},
        Wrong{"[mount]\nname_timeout_s = nan", "line 2", "mount.name_timeout_s"},
        Wrong{"[mount]\nthreads = 0", "line 2", "mount.threads"},
        Wrong{"[mount]\nreadahead_kb = 65537", "line 2", "mount.readahead_kb"},
        Wrong{"[restore]\nrestores_max = -1", "line 2", "restore.restores_max"},
        Wrong{"[restore]\nfetch_timeout_ms = 0", "line 2", "restore.fetch_timeout_ms"},
        Wrong{"[s3]\nendpont = \"x\"", "line 2", "s3.endpont"},
        Wrong{"[s3]\naddressing = \"dns\"", "line 2", "s3.addressing"},
        Wrong{"[s3]\nhedge_share = 1.5", "line 2", "s3.hedge_share"},
        Wrong{"[origin]\nrequests_max = 0", "line 2", "origin.requests_max"},
        Wrong{"[origin]\nrequests_max = 4\nfault_reserve = 4", "thaw.toml", "fault_reserve"},
        Wrong{"[local]\npath = \"/x\"", "[local]", "size"},
        Wrong{"[local]\nsize = \"1GiB\"", "[local]", "path"},
        Wrong{"[local]\npath = \"/x\"\nsize = \"1GiB\"\npolicy = \"fifo\"", "line 4",
              "local.policy"},
        Wrong{"[local]\npath = \"/x\"\nsize = \"1GiB\"\nverify = \"never\"", "line 4",
              "local.verify"},
        Wrong{"[zone]\ndata_stripes = 4", "[zone]", "nodes"},
        Wrong{"[zone]\nnodes = \"a:1\"", "line 2", "zone.nodes"},
        Wrong{"[zone]\nnodes = [\"a:b\"]", "line 2", "host:port"},
        Wrong{"[zone]\nnodes = [\"a:0\"]", "line 2", "host:port"},
        Wrong{"[zone]\nnodes = [\"a\",\n1]", "line 3", "zone.nodes"},
        Wrong{"[zone]\nnodes = [{port = 1}]", "line 2", "host"},
        Wrong{"[zone]\nnodes = [{host = \"a\", wight = 2}]", "line 2", "wight"},
        Wrong{"[zone]\nnodes = [\"a\", \"a\"]", "thaw.toml", "a:11211"},
        Wrong{"[zone]\nnodes = [\"a\"]\ndata_stripes = 17", "line 3", "zone.data_stripes"},
        Wrong{"[zone]\nnodes = [\"a\"]\nstall_timeout_ms = 0", "line 3", "zone.stall_timeout_ms"},
        Wrong{"a = \"b", "line 1", "TOML"}, Wrong{"x = 1\nx = 2", "line 2", "TOML"},
        Wrong{"\xff", "line 1", "TOML"}));

TEST(Config, TiersAreReadWhole) {
  const auto config = parse_config(R"(
store = "s3://bucket/prefix"
[s3]
endpoint = "http://127.0.0.1:9000"
region = "eu-1"
addressing = "path"
access_key_id = "id"
secret_access_key = "secret"
[origin]
requests_max = 32
[local]
path = "/var/cache/thaw/chunks"
size = "10GiB"
slot_size = "64KiB"
policy = "lru_k"
verify = "always"
[zone]
nodes = ["cache1", "cache2:11212", "[::1]:11213",
         { host = "10.0.0.4", port = 11214, name = "four", weight = 2 }]
data_stripes = 2
parity_stripes = 2
stall_timeout_ms = 250
tls_ca_file = "/etc/thaw/zone.pem"
)",
                                   "thaw.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->s3.endpoint, "http://127.0.0.1:9000");
  EXPECT_EQ(config->s3.addressing, S3Addressing::kPath);
  EXPECT_EQ(config->s3_key.secret_access_key, "secret");
  EXPECT_EQ(config->tiers.origin.requests_max, 32u);
  ASSERT_TRUE(config->tiers.local);
  EXPECT_EQ(config->tiers.local->cache.bytes_max, 10 * kGiB);
  EXPECT_EQ(config->tiers.local->cache.policy, PolicyKind::kLruK);
  EXPECT_TRUE(config->tiers.local->verify_always);
  EXPECT_EQ(config->tiers.memory.slot_bytes, 64 * kKiB);
  ASSERT_TRUE(config->tiers.zone);
  const auto& nodes = config->tiers.zone->nodes;
  ASSERT_EQ(nodes.size(), 4u);
  EXPECT_EQ(nodes[0].effective_name(), "cache1:11211");
  EXPECT_EQ(nodes[1].port, 11212);
  EXPECT_EQ(nodes[2].host, "::1");
  EXPECT_EQ(nodes[3].effective_name(), "four");
  EXPECT_EQ(nodes[3].weight, 2);
  EXPECT_EQ(config->tiers.zone->data_stripes, 2u);
  EXPECT_EQ(config->tiers.zone->node.stall_timeout_ms, 250u);
  ASSERT_TRUE(config->tiers.zone->tls);
  EXPECT_EQ(config->tiers.zone->tls->ca_file, "/etc/thaw/zone.pem");
}

TEST(Config, LimitsAreTheModules) {
  EXPECT_TRUE(parse_config("[mount]\nthreads = 256\nreadahead_kb = 65536", "x"));
  EXPECT_TRUE(parse_config("[freeze]\nthreads = 1024\nchunk_size = \"4MiB\"", "x"));
  EXPECT_TRUE(parse_config("[restore]\nthreads = 1024\nmemory_tier_bytes = 0", "x"));
  EXPECT_FALSE(parse_config(std::string(kConfigBytesMax + 1, ' '), "x"));
}

TEST(Config, DeepNestingIsRefused) {
  const std::string deep = "a = " + std::string(100'000, '[');
  EXPECT_EQ(parse_config(deep, "x").error().code, ErrorCode::kInvalid);
}

}  // namespace
}  // namespace thaw
