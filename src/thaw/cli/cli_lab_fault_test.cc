// SPDX-License-Identifier: Apache-2.0
//
// `thaw lab run` when something is wrong: with the scenario, the machine, the output, or because it
// is stopped. Each is told with what to do, and loses nothing.
#include <pty.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "thaw/cli/cli_test.h"
#include "thaw/lab/results_file.h"
#include "thaw/lab/scenario.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

std::string list_of(int functions) {
  std::string text;
  for (int i = 0; i < functions; ++i) text += "\"f" + std::to_string(i) + "\",";
  return text;
}

class CliLabFaultTest : public CliTest {
 protected:
  void write_scenario(const std::string& text) { write("s.toml", text); }
  std::vector<std::string> lab(const std::string& output) const {
    return {"lab", "run", file("s.toml"), "--output", output};
  }
  std::vector<std::string> lab() const { return lab(file("out")); }

  /// Of a process, the scratch directories that it has: in memory and on the disk.
  static std::set<std::string> scratch_of(pid_t pid) {
    std::set<std::string> found;
    std::error_code error;
    const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
    for (const auto& entry : std::filesystem::directory_iterator(fds, error)) {
      const std::string path = std::filesystem::read_symlink(entry.path(), error);
      if (path.find("/thaw-scratch-") != std::string::npos) found.insert(path);
    }
    return found;
  }
  size_t lines() const {
    const std::string text = text_of(file("out/results.jsonl"));
    return static_cast<size_t>(std::ranges::count(text, '\n'));
  }
  /// Until it has that many measurements, or has its scratch directories and begins to fill them.
  std::set<std::string> wait_for(const ThawProcess& thaw, size_t measurements) const {
    while (measurements > 0 && lines() < 1 + measurements) ::usleep(1000);
    while (true) {
      const std::set<std::string> scratch = scratch_of(thaw.pid());
      for (const std::string& each : scratch) {
        if (scratch.size() >= 2 && std::filesystem::exists(each + "/keys")) return scratch;
      }
      ::usleep(1000);
    }
  }
  /// The run goes on, measures nothing twice, and leaves nothing but its results when it is
  /// stopped.
  void expect_goes_on() {
    const size_t before = lines();
    const auto thaw = start(lab());
    while (lines() < before + 2) ::usleep(1000);
    thaw->kill(SIGINT);
    EXPECT_EQ(thaw->wait().exit_code, 130);
    const auto results = read_results(file("out"));
    ASSERT_TRUE(results) << results.error().message;
    std::set<std::pair<std::string, uint64_t>> seen;
    for (const Measurement& each : results->measurements) {
      EXPECT_TRUE(seen.emplace(each.cell.key(), each.repetition).second) << each.cell.key();
      // All of a round come before the next round's.
      EXPECT_EQ(each.repetition, (seen.size() - 1) / 2);
    }
    for (const auto& entry : std::filesystem::directory_iterator(file("out"))) {
      EXPECT_EQ(entry.path().filename(), "results.jsonl");
    }
  }
  /// What a person at a terminal sees who types `answer` when asked, and the exit code.
  std::pair<std::string, int> run_on_terminal(std::vector<std::string> arguments,
                                              const std::string& answer) {
    arguments.insert(arguments.begin(), THAW_BINARY);
    int terminal = -1;
    const pid_t pid = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid == 0) {
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      ::execv(THAW_BINARY, argv.data());
      ::_exit(127);
    }
    const Fd end(terminal);
    std::string text;
    bool answered = false;
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(terminal, piece, sizeof piece)) > 0;) {
      text.append(piece, static_cast<size_t>(got));
      if (answered || text.find("[y/N] ") == std::string::npos) continue;
      answered = ::write(terminal, answer.data(), answer.size()) > 0;
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return {text, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
  }
};

TEST_F(CliLabFaultTest, AWrongScenarioIsToldAndNothingIsMade) {
  write_scenario("[[matrix]]\nstorag = [\"plain\"]\n");
  EXPECT_THAT(expect_error(lab(), 2, "invalid"),
              AllOf(HasSubstr("s.toml"), HasSubstr("'storag'"), HasSubstr("storage")));
  write_scenario("seed = 3\n[[matrix]]\n");
  EXPECT_THAT(expect_error(lab(), 2, "invalid"), HasSubstr("the matrix is empty"));
  write_scenario("seed = 3\n");
  EXPECT_THAT(expect_error(lab(), 2, "invalid"), HasSubstr("there is no [[matrix]]"));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(CliLabFaultTest, AnOutputThatCannotBeIsTold) {
  write_scenario("[[matrix]]\nfunction = [\"aes\"]\n");
  EXPECT_THAT(expect_error(lab(file("s.toml")), 2, "invalid"),
              AllOf(HasSubstr("s.toml is not a directory"), HasSubstr("--output")));
  EXPECT_THAT(expect_error(lab("/proc/thaw"), 6, "denied"),
              AllOf(HasSubstr("/proc/thaw"), HasSubstr("--output")));
}

TEST_F(CliLabFaultTest, TenThousandCellsAreRefusedWhereNobodyCanBeAsked) {
  write_scenario("repetitions = 4\n[[matrix]]\nfunction = [" + list_of(10'000) + "]\n");
  EXPECT_THAT(expect_error(lab(), 2, "invalid"),
              AllOf(HasSubstr("10000 cells, 50000 measurements: about 4 h"), HasSubstr("--yes")));
  // Cells, not combinations: half of these make no sense. One round each is as many measurements.
  write_scenario(
      "repetitions = 1\nwarm_up = 0\n[[matrix]]\nstorage = [\"plain\", \"chunked\"]\n"
      "technique = [\"present\"]\nfunction = [" +
      list_of(10'000) + "]\n");
  EXPECT_THAT(expect_error(lab(), 2, "invalid"), HasSubstr("10000 cells, 10000 measurements"));
  // With --yes the next thing is wrong.
  std::vector<std::string> all = lab();
  all.emplace_back("--yes");
  EXPECT_THAT(expect_error(all, 3, "not_found"), HasSubstr("'f0'"));
  write_scenario("repetitions = 1\nwarm_up = 0\n[[matrix]]\nfunction = [" + list_of(9'999) + "]\n");
  EXPECT_THAT(expect_error(lab(), 3, "not_found"), HasSubstr("'f0'"));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(CliLabFaultTest, APersonAtATerminalIsAsked) {
  write_scenario("repetitions = 4\n[[matrix]]\nfunction = [" + list_of(10'000) + "]\n");
  const auto [refused, refused_code] = run_on_terminal(lab(), "\n");
  EXPECT_THAT(refused, AllOf(HasSubstr("10000 cells, 50000 measurements: about 4 h"),
                             HasSubstr("[y/N]"), HasSubstr("nothing was measured")));
  EXPECT_EQ(refused_code, 130);
  const auto [meant, meant_code] = run_on_terminal(lab(), "y\n");
  EXPECT_THAT(meant, AllOf(HasSubstr("[y/N]"), HasSubstr("'f0'")));
  EXPECT_EQ(meant_code, 3);
  EXPECT_FALSE(std::filesystem::exists(file("out")));
}

TEST_F(CliLabFaultTest, WithoutLeaveToUseUserfaultfdNothingIsMeasured) {
  write_scenario("[[matrix]]\nfunction = [\"aes\"]\ntechnique = [\"study_reap\", \"present\"]\n");
  std::filesystem::permissions(dir_.path(), std::filesystem::perms::all);
  std::filesystem::permissions(file("s.toml"), std::filesystem::perms::all);
  std::filesystem::permissions(file("empty.toml"), std::filesystem::perms::all);
  const auto as_nobody = [&](std::vector<std::string> arguments) {
    const std::vector<std::string> change{"--reuid=65534", "--regid=65534", "--clear-groups",
                                          THAW_BINARY};
    arguments.insert(arguments.begin(), change.begin(), change.end());
    return ThawProcess("/usr/bin/setpriv", arguments, environment_, file("stderr")).wait();
  };
  if (as_nobody({"--version"}).exit_code != 0) GTEST_SKIP() << "SKIP: cannot run thaw as nobody";
  const Outcome outcome = as_nobody(lab());
  if (outcome.exit_code == 0) GTEST_SKIP() << "SKIP: everybody may use userfaultfd here";
  EXPECT_EQ(outcome.exit_code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("1 cell needs userfaultfd"),
                                 HasSubstr("vm.unprivileged_userfaultfd=1")));
  EXPECT_FALSE(std::filesystem::exists(file("out")));
  // What needs none runs all the same.
  write_scenario("repetitions = 1\n[[matrix]]\nfunction = [\"aes\"]\ntechnique = [\"present\"]\n");
  std::filesystem::permissions(file("s.toml"), std::filesystem::perms::all);
  const Outcome runs = as_nobody(lab());
  EXPECT_EQ(runs.exit_code, 0) << runs.err;
}

// Of each class of techniques, and while the first snapshot is still being made.
TEST_F(CliLabFaultTest, AStoppedRunGoesOn) {
  struct Class {
    const char* axes;
    size_t measurements;
    int signal;
  };
  constexpr const char* kKernel = "technique = [\"mapping_cached\", \"present\"]\n";
  constexpr const char* kStudy = "technique = [\"study_on_demand\", \"study_reap\"]\n";
  constexpr const char* kOurs =
      "storage = [\"chunked_encrypted\"]\ntechnique = [\"on_demand\", \"hot\"]\n";
  for (const Class& each : {Class{kKernel, 1, SIGINT}, Class{kStudy, 2, SIGTERM},
                            Class{kOurs, 1, SIGINT}, Class{kOurs, 0, SIGTERM}}) {
    write_scenario("repetitions = 1000\nwarm_up = 0\n[[matrix]]\nfunction = [\"aes\"]\n" +
                   std::string(each.axes));
    std::filesystem::remove_all(file("out"));
    // A session of its own, so that the signal goes to all of its processes, as a terminal's.
    std::vector<std::string> arguments = lab();
    arguments.insert(arguments.begin(), THAW_BINARY);
    ThawProcess thaw("/usr/bin/setsid", arguments, environment_, file("stderr"));
    const std::set<std::string> scratch = wait_for(thaw, each.measurements);
    ::kill(-thaw.pid(), each.signal);
    const Outcome outcome = thaw.wait();
    EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("stopped; what was measured is in " + file("out")),
                                   HasSubstr("the same command goes on"), Not(HasSubstr("VMM"))));
    EXPECT_GE(lines(), 1 + each.measurements);
    for (const std::string& left : scratch) EXPECT_FALSE(std::filesystem::exists(left)) << left;
    expect_goes_on();
  }
}

TEST_F(CliLabFaultTest, AKilledRunGoesOnAndItsScratchGoes) {
  write_scenario(
      "repetitions = 1000\nwarm_up = 0\n[[matrix]]\nfunction = [\"aes\"]\n"
      "technique = [\"study_reap\", \"present\"]\n");
  const auto thaw = start(lab());
  const std::set<std::string> scratch = wait_for(*thaw, 2);
  thaw->kill(SIGKILL);
  EXPECT_EQ(thaw->wait().exit_code, -1);
  for (const std::string& left : scratch) EXPECT_TRUE(std::filesystem::exists(left)) << left;
  expect_goes_on();
  for (const std::string& left : scratch) EXPECT_FALSE(std::filesystem::exists(left)) << left;
}

TEST_F(CliLabFaultTest, TheHeaderHasTheFactsOfTheRun) {
  write_scenario(
      "repetitions = 1\nwarm_up = 0\n[[matrix]]\nfunction = [\"aes\"]\n"
      "technique = [\"present\"]\n");
  ASSERT_EQ(run(lab()).exit_code, 0);
  std::string text = text_of(file("out/results.jsonl"));
  const Json header = Json::parse(text.substr(0, text.find('\n')));
  const std::string commit = header["commit"];
  EXPECT_TRUE(commit.empty() || testing::Matches(MatchesRegex("[0-9a-f]{40}\\+?"))(commit))
      << commit;
  EXPECT_GE(header["versions"].size(), 4U);
  // As if another thaw had written it.
  const std::string kernel = header["kernel"];
  text.replace(text.find(kernel), kernel.size(), "0.0-other");
  write("out/results.jsonl", text);
  EXPECT_THAT(expect_error(lab(), 4, "exists"),
              AllOf(HasSubstr("kernel was 0.0-other, is " + kernel), HasSubstr("--output")));
  EXPECT_EQ(text_of(file("out/results.jsonl")), text);
}

// Lines from a clock that went back; nothing depends on them.
TEST_F(CliLabFaultTest, TimesThatGoBackAreTaken) {
  write_scenario(
      "repetitions = 3\nwarm_up = 0\n[[matrix]]\nfunction = [\"aes\"]\n"
      "technique = [\"present\", \"mapping_cached\"]\n");
  ASSERT_EQ(run(lab()).exit_code, 0);
  std::string text = text_of(file("out/results.jsonl"));
  int year = 2999;
  for (size_t at = 0; (at = text.find("\"at\":\"", at)) != std::string::npos;) {
    at += std::string_view("\"at\":\"").size();
    text.replace(at, 4, std::to_string(year));
    year -= 100;
  }
  text.resize(text.rfind('\n', text.size() - 2) + 1);  // one measurement is to be made again
  write("out/results.jsonl", text);
  const Json again = run_json(lab());
  EXPECT_EQ(again["found"], 5);
  EXPECT_EQ(again["measured"], 1);
  EXPECT_EQ(run_json({"lab", "show", file("out")})["cells"].size(), 2U);
  const Json compared = run_json({"lab", "compare", file("out"), file("out")});
  ASSERT_EQ(compared["cells"].size(), 2U);
  EXPECT_EQ(compared["cells"][0]["differs"], false);
}

}  // namespace
}  // namespace thaw
