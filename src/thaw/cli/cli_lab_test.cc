// SPDX-License-Identifier: Apache-2.0
//
// `thaw lab` as a command, with the functions that come with thaw.
#include <algorithm>
#include <filesystem>
#include <set>

#include "thaw/cli/cli_test.h"
#include "thaw/lab/scenario.h"

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

TEST_F(CliLabTest, Report) {
  write_scenario(
      "storage = [\"plain\", \"encrypted\"]\ntechnique = [\"study_reap\"]\nfunction = [\"aes\"]\n");
  ASSERT_EQ(run_lab().exit_code, 0);
  write("library.js", "/*! Chart.js v3.9.1 */ the_library();");
  const std::vector<std::string> arguments{"lab", "report", file("out"), "--plotting-library",
                                           file("library.js")};
  const Json made = run_json(arguments);
  EXPECT_EQ(made["html"], file("out") + "/report.html");
  const std::string page = text_of(file("out") + "/report.html");
  EXPECT_EQ(made["html_bytes"], page.size());
  EXPECT_THAT(page, HasSubstr("the_library();"));
  ASSERT_FALSE(made["figures"].empty());
  EXPECT_EQ(made["figures"][0]["id"], "overhead");
  EXPECT_THAT(std::string(made["figures"][0]["sentence"]), HasSubstr("study_reap over encrypted"));
  EXPECT_THAT(text_of(made["figures"][0]["csv"]), HasSubstr("over_plain_reap_ratio"));
  ASSERT_FALSE(made["left_out"].empty());
  EXPECT_NE(made["left_out"][0]["needs"], "");

  auto elsewhere = arguments;
  elsewhere.insert(elsewhere.end(), {"--output", file("there/a.html"), "--csv", file("there/csv")});
  const Outcome told = run(elsewhere);
  ASSERT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.out, AllOf(HasSubstr(file("there/a.html")), HasSubstr(file("there/csv"))));
  EXPECT_EQ(text_of(file("there/a.html")), page);
  EXPECT_NE(text_of(file("there/csv/overhead.csv")), "");
}

TEST_F(CliLabTest, AReportOfNothingSaysWhatToDo) {
  write("library.js", "/*! Chart.js v3.9.1 */");
  EXPECT_THAT(
      expect_error({"lab", "report", file("nowhere"), "--plotting-library", file("library.js")}, 3,
                   "not_found"),
      HasSubstr("nowhere"));
  EXPECT_THAT(
      expect_error({"lab", "report", file("nowhere"), "--plotting-library", file("none.js")}, 3,
                   "not_found"),
      HasSubstr("libjs-chart.js"));
}

TEST_F(CliLabTest, TheSmokeScenarioRuns) {
  const Outcome ran =
      run({"lab", "run", THAW_SCENARIOS "/smoke.toml", "--output", file("out"), "--json"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_GE(ran.json()["cells"], 20);
  EXPECT_EQ(ran.json()["measured"], ran.json()["cells"]);
}

TEST_F(CliLabTest, ValidateSaysWhatIsMissing) {
  write_scenario("technique = [\"present\"]\nfunction = [\"aes\"]\n");
  ASSERT_EQ(run_lab().exit_code, 0);
  const Outcome validated = run({"lab", "validate", file("out")});
  EXPECT_NE(validated.exit_code, 0);
  EXPECT_THAT(validated.err, HasSubstr("real.toml"));
  const Outcome real = run({"lab", "run", THAW_SCENARIOS "/real.toml", "--output", file("real")});
  EXPECT_NE(real.exit_code, 0);
  EXPECT_THAT(real.err, HasSubstr("--guests"));
}

// Every word of every axis, but for those that smoke.toml says it cannot have.
TEST_F(CliLabTest, TheSmokeScenarioHasEveryWord) {
  const std::set<std::string> without{"qemu", "firecracker"};
  const Result<Scenario> smoke = read_scenario(THAW_SCENARIOS "/smoke.toml");
  ASSERT_TRUE(smoke) << smoke.error().message;
  for (const LabAxis& axis : lab_axes()) {
    for (const std::string& word : axis.words) {
      const auto has = [&](const Cell& cell) { return axis_value(cell, axis.name) == word; };
      EXPECT_NE(std::ranges::any_of(smoke->cells, has), without.contains(word))
          << axis.name << " = " << word;
    }
  }
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
