// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/fleet_scenario_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace thaw {
namespace {

using testing::HasSubstr;

TEST(FleetScenarioFile, WhatIsNotSaidHasItsDefault) {
  const FleetScenario scenario = parse_fleet_scenario("", "f.toml").value();
  EXPECT_EQ(scenario.workers, 1u);
  EXPECT_EQ(scenario.worker.local_policy, PolicyKind::kS3Fifo);
  EXPECT_FALSE(scenario.sweep);
  EXPECT_TRUE(scenario.bursts.empty());
}

TEST(FleetScenarioFile, EverythingThatCanBeSaid) {
  const FleetScenario scenario = parse_fleet_scenario(R"(
about = "all of it"
seed = 7
duration_s = 100
warm_up_s = 10.5
phase_s = 5
bin_s = 2
workers = 30
arrivals_per_s = 4
workers_per_function = 3
chunk_size = "64KiB"
grain_chunks = 2
[functions]
count = 50
zipf = 1.1
working_set_chunks = 10
working_set_chunks_max = 20
common_share = 0.5
bases = 2
[worker]
threads = 2
lanes = 8
restores_max = 4
single_flight = false
link_bytes_per_s = 2e9
memory_size = 1048576
memory_policy = "lru"
local_size = "8MiB"
local_policy = "lru_k"
[zone]
nodes = 8
node_size = "16MiB"
fill_share = 0.8
data_stripes = 5
parity_stripes = 2
policy = "s3_fifo"
latency = "none"
node_bytes_per_s = 1e9
[origin]
requests_max = 12
requests_per_s = 300.5
latency = "zone"
[[cron]]
first_s = 1
period_s = 20
over_s = 3
functions = 4
[[burst]]
at_s = 30
over_s = 0.5
instances = 9
function = 3
[[burst]]
at_s = 40
[[node_loss]]
at_s = 50
node = 7
back_s = 60
[[empty]]
at_s = 70
tier = "zone"
[sweep]
tier = "memory"
sizes = ["1MiB", "2MiB"]
)",
                                                      "f.toml")
                                     .value();
  EXPECT_EQ(scenario.about, "all of it");
  EXPECT_EQ(scenario.seed, 7u);
  EXPECT_EQ(scenario.warm_up_s, 10.5);
  EXPECT_EQ(scenario.chunk_bytes, 64 * kKiB);
  EXPECT_EQ(scenario.functions.working_set_chunks_max, 20u);
  EXPECT_FALSE(scenario.worker.single_flight);
  EXPECT_EQ(scenario.worker.memory_policy, PolicyKind::kLru);
  EXPECT_EQ(scenario.worker.local_policy, PolicyKind::kLruK);
  EXPECT_EQ(scenario.zone.parity_stripes, 2u);
  EXPECT_EQ(scenario.zone.node_bytes_per_s, 1e9);
  EXPECT_EQ(scenario.origin.requests_per_s, 300.5);
  ASSERT_EQ(scenario.bursts.size(), 2u);
  EXPECT_EQ(scenario.bursts[0].function, 3u);
  EXPECT_FALSE(scenario.bursts[1].function);
  EXPECT_EQ(scenario.losses.at(0).back_s, 60.0);
  EXPECT_EQ(scenario.emptyings.at(0).tier, FleetTier::kZone);
  EXPECT_EQ(scenario.sweep.value().sizes, (std::vector<uint64_t>{kMiB, 2 * kMiB}));
}

TEST(FleetScenarioFile, ErrorsSayWhereWhatAndWhatToDo) {
  const auto message = [](const std::string& text) {
    const auto scenario = parse_fleet_scenario(text, "f.toml");
    return scenario ? "no error" : scenario.error().message;
  };
  EXPECT_THAT(message("workers ="), HasSubstr("f.toml line 1"));
  EXPECT_THAT(message("seed = 1\nworker = 3"), HasSubstr("worker"));
  EXPECT_THAT(message("nodes = 3"), AllOf(HasSubstr("\"nodes\""), HasSubstr("arrivals_per_s")));
  EXPECT_THAT(message("[zone]\nnode = 3"), AllOf(HasSubstr("zone.node"), HasSubstr("node_size")));
  EXPECT_THAT(message("\nworkers = 200000"), AllOf(HasSubstr("line 2"), HasSubstr("100000")));
  EXPECT_THAT(message("workers = \"3\""), HasSubstr("whole number"));
  EXPECT_THAT(message("[worker]\nlocal_policy = \"fifo\""), HasSubstr("\"s3_fifo\""));
  EXPECT_THAT(message("[worker]\nlocal_size = \"4 GB\""), HasSubstr("worker.local_size"));
  EXPECT_THAT(message("[[empty]]\nat_s = 1\ntier = \"origin\""), HasSubstr("\"local\""));
  EXPECT_THAT(message("[sweep]\nsizes = [\n\"1MiB\",\n\"5121111111111111\"]"),
              AllOf(HasSubstr("f.toml line 4: sweep.sizes"), HasSubstr("1024 TiB")));
  EXPECT_THAT(message("[sweep]\nsizes = [1]"),
              AllOf(HasSubstr("f.toml line 2: sweep.sizes"), HasSubstr("4GiB")));
  EXPECT_THAT(message("[cron]\nperiod_s = 1"), HasSubstr("cron must be a list"));
  EXPECT_THAT(message("cron = [1]"), HasSubstr("[[cron]]"));
  EXPECT_THAT(message("[[cron]]\nperiod_s = 0"), HasSubstr("cron.period_s"));
  EXPECT_THAT(message("[sweep]\ntier = \"local\""), HasSubstr("sizes"));
  EXPECT_THAT(message("[sweep]\nsizes = [1]"), HasSubstr("\"4GiB\""));
  EXPECT_THAT(message("[[node_loss]]\nat_s = 1"), HasSubstr("[zone]"));
  EXPECT_THAT(message("arrivals_per_s = nan"), HasSubstr("arrivals_per_s"));
  EXPECT_THAT(message("arrivals_per_s = 1e9"), HasSubstr("resumes"));
}

}  // namespace
}  // namespace thaw
