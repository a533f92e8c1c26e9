// SPDX-License-Identifier: Apache-2.0
//
// `thaw lab fleet` as a command.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "thaw/cli/cli_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;

/// SigBlk of proc(5): a mask in hexadecimal.
bool blocks_interrupts(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigBlk:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (SIGINT - 1) & 1) != 0;
  }
  return true;  // it has gone: its exit code is judged
}

class CliLabFleetTest : public CliTest {
 protected:
  CliLabFleetTest() {
    write("s.toml",
          "duration_s = 120\nwarm_up_s = 30\nphase_s = 20\nworkers = 3\narrivals_per_s = 2\n"
          "[functions]\ncount = 20\nworking_set_chunks = 10\n"
          "[worker]\nmemory_size = \"16MiB\"\nlocal_size = \"64MiB\"\n"
          "[zone]\nnodes = 5\nnode_size = \"64MiB\"\n"
          "[[empty]]\nat_s = 60\ntier = \"zone\"\n"
          "[sweep]\ntier = \"local\"\nsizes = [\"16MiB\", \"64MiB\"]\n");
  }
  std::string default_costs() const { return THAW_SCENARIOS "/fleet/costs.json"; }
  std::vector<std::string> fleet(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"lab", "fleet", file("s.toml"), "--costs", default_costs()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(CliLabFleetTest, TablesAndFiles) {
  const Outcome shown = run(fleet({"--output", file("out")}));
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  for (const char* word : {"3 workers", "hit rate steady", "over steady", "empty", "64.0 MiB"}) {
    EXPECT_THAT(shown.out, HasSubstr(word));
  }
  EXPECT_THAT(shown.err, HasSubstr("events in"));
  const Json written = Json::parse(text_of(file("out/fleet.json")));
  const Json printed = run_json(fleet());
  EXPECT_EQ(written, printed);  // the same again, in another process
  EXPECT_EQ(printed["sizes"].size(), 2u);
  // The sweep's run of the scenario's own size is the scenario's.
  EXPECT_EQ(printed["sizes"][1]["all"], printed["all"]);
  EXPECT_GT(printed["sizes"][1]["all"]["reads"]["local"]["hit_rate"],
            printed["sizes"][0]["all"]["reads"]["local"]["hit_rate"]);
  uint64_t found = 0;
  for (const auto& [tier, reads] : printed["all"]["reads"].items()) {
    found += reads["found"].get<uint64_t>();
  }
  EXPECT_EQ(found, printed["all"]["reads"]["memory"]["asked"]);
  const std::string over_time = text_of(file("out/over_time.csv"));
  EXPECT_GE(std::count(over_time.begin(), over_time.end(), '\n'), 120 / 5);
  EXPECT_THAT(text_of(file("out/resume_ms.csv")), HasSubstr("empty,50"));
  EXPECT_THAT(text_of(file("out/sizes.csv")), HasSubstr("local_bytes"));
}

TEST_F(CliLabFleetTest, MeasuredCostsAreCosts) {
  const Outcome measured = run({"lab", "fleet", "--measure", file("costs.json"), "--json"});
  if (measured.exit_code != 0) {
    // Where userfaultfd may not be used it says so.
    EXPECT_THAT(measured.err, HasSubstr("userfaultfd"));
    GTEST_SKIP() << measured.err;
  }
  EXPECT_GT(measured.json()["verify_ns"], 0);
  EXPECT_GT(measured.json()["local_read_ns"], measured.json()["memory_hit_ns"]);
  const Json simulated = run_json({"lab", "fleet", file("s.toml")});  // they are beside it
  EXPECT_GT(simulated["all"]["resumes"], 0);
}

TEST_F(CliLabFleetTest, ErrorsSayWhatToDo) {
  EXPECT_THAT(expect_error({"lab", "fleet"}, 2, "invalid"), HasSubstr("--measure"));
  EXPECT_THAT(run({"lab", "fleet", file("s.toml")}).err,
              AllOf(HasSubstr("costs.json"), HasSubstr("--measure")));
  write("s.toml", "worker_count = 3\n");
  EXPECT_THAT(run(fleet()).err, AllOf(HasSubstr("worker_count"), HasSubstr("arrivals_per_s")));
  write("s.toml", "workers = 3\n");
  write("costs.json", "{\"chunk_bytes\": 524288}");
  EXPECT_THAT(run({"lab", "fleet", file("s.toml")}).err, HasSubstr("memory_hit_ns is missing"));
}

TEST_F(CliLabFleetTest, InterruptedItSaysSo) {
  // Longer than anybody waits.
  write("s.toml",
        "duration_s = 86400\nworkers = 1000\narrivals_per_s = 1000\nbin_s = 60\n"
        "[functions]\ncount = 1000\n");
  const auto process = start(fleet());
  // Its job blocks the signal to take it in turn; before that the signal would just end it.
  while (!blocks_interrupts(process->pid())) ::usleep(1000);
  process->kill(SIGINT);
  const Outcome ended = process->wait();
  EXPECT_EQ(ended.exit_code, 130) << ended.err;
}

TEST_F(CliLabFleetTest, EveryFleetThatComesWithThawIsRight) {
  size_t scenarios = 0;
  write("none.json", "{}");
  for (const auto& entry : std::filesystem::directory_iterator(THAW_SCENARIOS "/fleet")) {
    if (entry.path().extension() != ".toml") continue;
    // The scenario is read before the costs.
    const Outcome outcome = run({"lab", "fleet", entry.path(), "--costs", file("none.json")});
    EXPECT_THAT(outcome.err, HasSubstr("none.json")) << entry.path();
    ++scenarios;
  }
  EXPECT_GE(scenarios, 3U);
}

}  // namespace
}  // namespace thaw
