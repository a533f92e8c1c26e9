// SPDX-License-Identifier: Apache-2.0
//
// `thaw lab` as a command, with the functions that come with thaw.
#include <filesystem>

#include "thaw/cli/cli_test.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class CliLabTest : public CliTest {
 protected:
  void write_scenario(const std::string& more) {
    write("s.toml", "repetitions = 2\nwarm_up = 0\n[[matrix]]\n" + more);
  }
  Outcome run_lab(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"lab", "run", file("s.toml"), "--output", file("out")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

TEST_F(CliLabTest, RunShowCompare) {
  write_scenario(
      "storage = [\"plain\", \"encrypted\"]\ntechnique = [\"study_reap\"]\nfunction = [\"aes\"]\n");
  const Outcome ran = run_lab({"--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.json()["measured"], 4);
  EXPECT_EQ(ran.json()["cells"], 2);
  const Outcome again = run_lab({"--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.json()["found"], 4);
  EXPECT_EQ(again.json()["measured"], 0);

  const Outcome shown = run({"lab", "show", file("out"), "--json"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  ASSERT_EQ(shown.json()["cells"].size(), 2U);
  EXPECT_EQ(shown.json()["cells"][0]["cell"]["storage"], "plain");
  EXPECT_EQ(shown.json()["cells"][0]["over_plain_reap"], 1.0);
  EXPECT_GT(shown.json()["cells"][1]["median_ms"], 0.0);

  const Outcome compared = run({"lab", "compare", file("out"), file("out"), "--json"});
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  ASSERT_EQ(compared.json()["cells"].size(), 2U);
  EXPECT_EQ(compared.json()["cells"][0]["ratio"], 1.0);
  EXPECT_EQ(compared.json()["cells"][0]["differs"], false);
}

TEST_F(CliLabTest, TheSmokeScenarioRuns) {
  const Outcome ran =
      run({"lab", "run", THAW_SCENARIOS "/smoke.toml", "--output", file("out"), "--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_GE(ran.json()["cells"], 20);
  EXPECT_EQ(ran.json()["measured"], ran.json()["cells"]);
}

// What is wrong in a scenario is found before its output is made; an output that is a file is found
// next.
TEST_F(CliLabTest, EveryScenarioThatComesWithThawIsRight) {
  write("taken", "");
  size_t scenarios = 0;
  for (const auto& entry : std::filesystem::directory_iterator(THAW_SCENARIOS)) {
    if (entry.is_directory()) continue;  // of `lab fleet`
    const Outcome ran = run({"lab", "run", entry.path(), "--output", file("taken")});
    EXPECT_NE(ran.exit_code, 0);
    EXPECT_THAT(ran.err, HasSubstr("taken")) << entry.path();
    ++scenarios;
  }
  EXPECT_GE(scenarios, 6U);
}

TEST_F(CliLabTest, ErrorsSayWhatToDo) {
  write_scenario("storage = [\"plane\"]\n");
  const Outcome unknown = run_lab();
  EXPECT_NE(unknown.exit_code, 0);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("'plane'"), HasSubstr("plain")));

  std::string functions;
  for (int i = 0; i < 6000; ++i) functions += "\"f" + std::to_string(i) + "\",";
  write_scenario("function = [" + functions + "]\n");
  const Outcome many = run_lab();
  EXPECT_NE(many.exit_code, 0);
  EXPECT_THAT(many.err, AllOf(HasSubstr("12000 measurements"), HasSubstr("--yes")));

  write_scenario("function = [\"nobody\"]\n");
  const Outcome missing = run_lab();
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_THAT(missing.err, AllOf(HasSubstr("'nobody'"), HasSubstr("aes")));

  const Outcome nothing = run({"lab", "show", file("nowhere")});
  EXPECT_NE(nothing.exit_code, 0);
  EXPECT_THAT(nothing.err, HasSubstr("nowhere"));
}

}  // namespace
}  // namespace thaw
