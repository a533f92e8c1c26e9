// SPDX-License-Identifier: Apache-2.0
//
// `thaw lab build` and `thaw lab trace` as commands. Scripts stand in for the driver, which its own
// end-to-end test runs with real guests.
#include <filesystem>

#include "thaw/cli/cli_test.h"
#include "thaw/lab/guest_driver.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kImage[] =
    R"({"number": 1, "of": 1, "image": "guest-image", "built": true, "kernel_sha256": "aa",)"
    R"( "initramfs_sha256": "bb", "kernel_bytes": 10, "initramfs_bytes": 20, "packages": []})";
constexpr char kTrace[] =
    R"({"number": 1, "of": 1, "function": "json", "touched": 2265, "runs": 557,)"
    R"( "in_recording": 0.5, "other_touched": 7240, "other_in_recording": 1})";

class CliLabGuestTest : public CliTest {
 protected:
  /// A driver that runs these lines of shell; its arguments are in the file "arguments".
  std::string make_driver(const std::string& lines) {
    write("driver", "#!/bin/sh\necho \"$@\" >" + file("arguments") + "\n" + lines);
    std::filesystem::permissions(file("driver"), std::filesystem::perms::owner_all);
    return file("driver");
  }
  static std::string print(const char* line) { return "echo '" + std::string(line) + "'\n"; }
  std::vector<std::string> build(const std::string& driver) const {
    return {"lab", "build", "--output", file("images"), "--driver", driver};
  }
  std::vector<std::string> trace(const std::string& driver, const std::string& output) const {
    write("preload.so", "");
    return {"lab",  "trace",    "--images", file("images"), "--output",
            output, "--driver", driver,     "--preload",    file("preload.so")};
  }
  void wait_for(const std::string& name) const {
    while (!std::filesystem::exists(file(name))) ::usleep(1000);
  }
};

TEST_F(CliLabGuestTest, BuildTellsWhatTheImagesAre) {
  std::vector<std::string> arguments = build(make_driver(print(kImage)));
  const Json built = run_json(arguments);
  EXPECT_EQ(text_of(file("arguments")), "images --output " + file("images") + " --json\n");
  ASSERT_EQ(built["images"].size(), 1U);
  EXPECT_EQ(built["images"][0]["image"], "guest-image");
  EXPECT_EQ(built["images"][0]["built"], true);
  EXPECT_EQ(built["images"][0]["bytes"], 30);
  EXPECT_EQ(built["images"][0]["initramfs_sha256"], "bb");
  arguments.insert(arguments.end(), {"--with", "numpy,pil"});
  const Outcome some = run(arguments);
  EXPECT_EQ(some.exit_code, 0) << some.err;
  EXPECT_THAT(some.out, AllOf(HasSubstr("guest-image"), HasSubstr("aa"), HasSubstr("bb")));
  EXPECT_THAT(text_of(file("arguments")), HasSubstr(" --with numpy,pil "));
}

// What the driver says that it recorded is read back: here, what comes with thaw.
TEST_F(CliLabGuestTest, TraceReadsBackWhatWasRecorded) {
  std::vector<std::string> arguments = trace(make_driver(print(kTrace)), THAW_LAB_TRACES);
  arguments.insert(arguments.end(), {"--function", "json", "--function", "html"});
  const Json recorded = run_json(arguments);
  EXPECT_EQ(text_of(file("arguments")),
            "traces --images " + file("images") + " --output " THAW_LAB_TRACES " --preload " +
                file("preload.so") + " --function json --function html --json\n");
  ASSERT_EQ(recorded["functions"].size(), 1U);
  EXPECT_EQ(recorded["functions"][0]["function"], "json");
  EXPECT_EQ(recorded["functions"][0]["touched"], 2265);
  EXPECT_EQ(recorded["functions"][0]["other_in_recording"], 1.0);

  const std::string lie =
      expect_error(trace(make_driver(print(kTrace)), file("traces")), 3, "not_found");
  EXPECT_THAT(lie, AllOf(HasSubstr("'json'"), HasSubstr(file("traces"))));
}

// Each VMM has a driver of its own; Firecracker needs no preload library.
TEST_F(CliLabGuestTest, TraceInFirecracker) {
  std::vector<std::string> arguments = trace(make_driver("exit 1\n"), THAW_LAB_TRACES);
  arguments.insert(arguments.end(), {"--vmm", "firecracker"});
  EXPECT_THAT(expect_error(arguments, 1, "unavailable"),
              HasSubstr("thaw-firecracker traces exited with 1"));
  EXPECT_EQ(text_of(file("arguments")),
            "traces --images " + file("images") + " --output " THAW_LAB_TRACES " --json\n");
}

// So is what it says that it kept.
TEST_F(CliLabGuestTest, TraceLooksForTheGuestsThatWereKept) {
  std::vector<std::string> arguments = trace(make_driver(print(kTrace)), THAW_LAB_TRACES);
  arguments.insert(arguments.end(), {"--guests", file("guests"), "--function", "json"});
  const std::string lie = expect_error(arguments, 3, "not_found");
  EXPECT_THAT(lie, AllOf(HasSubstr("no guest of the function 'json'"), HasSubstr(file("guests"))));
  std::filesystem::create_directories(file("guests/json"));
  const Json call{{"seed", 1}, {"input", "small"}, {"sha256", "aa"}};
  const Json guest{{"format", "thaw guest v1"},
                   {"function", "json"},
                   {"memory_mib", 1},
                   {"boot_id", "b"},
                   {"calls", 1},
                   {"inputs", {{"recorded", call}, {"measured", call}, {"other", call}}},
                   {"sha256", {{"memory", "aa"}, {"json.trace", "bb"}}}};
  write("guests/json/guest.json", guest.dump());
  write("guests/json/memory", std::string(kMiB, '\0'));
  write("guests/json/vmstate", "state");
  EXPECT_EQ(run_json(arguments)["guests"], file("guests"));
  EXPECT_THAT(text_of(file("arguments")),
              HasSubstr(" --guests " + file("guests") + " --function json --json"));
}

TEST_F(CliLabGuestTest, FailureOfTheDriverIsToldWithWhatToDo) {
  const std::string failed = make_driver(
      R"(echo '{"error": "cannot start qemu", "remedy": "install qemu"}'; echo no >&2; exit 1)");
  const std::string told = expect_error(build(failed), 1, "unavailable");
  EXPECT_EQ(told, "thaw-qemu images failed: cannot start qemu; to do: install qemu");
  const std::string silent = make_driver("echo 'python3 is missing' >&2; exit 127");
  EXPECT_EQ(expect_error(build(silent), 1, "unavailable"),
            "thaw-qemu images exited with 127: python3 is missing");
  const std::string killed = make_driver("kill -9 $$");
  EXPECT_THAT(expect_error(build(killed), 1, "unavailable"), HasSubstr("was killed by Killed"));
}

TEST_F(CliLabGuestTest, DriverOfAnotherVersionIsRefused) {
  for (const char* const line :
       {"hello", "[1]", R"({"number": 1})", R"({"number": -1, "of": 2})",
        R"({"number": 1, "of": 1, "image": 7})", R"({"error": "x"})",
        R"({"number": 1, "of": 1, "image": "guest-image", "built": 1, "kernel_sha256": "aa"})"}) {
    const std::string driver = make_driver(print(line) + "sleep 1000\n");
    EXPECT_THAT(expect_error(build(driver), 2, "invalid"), HasSubstr("that came with this thaw"))
        << line;
  }
  const std::string endless = make_driver("exec tr '\\0' x </dev/zero\n");
  EXPECT_THAT(expect_error(build(endless), 2, "invalid"), HasSubstr("a line without an end"));
}

TEST_F(CliLabGuestTest, MissingPartsAreNamed) {
  const std::string driver = expect_error(build(file("nowhere")), 8, "unsupported");
  EXPECT_THAT(driver, AllOf(HasSubstr(file("nowhere")), HasSubstr("--driver")));
  write("data", "");
  EXPECT_THAT(expect_error(build(file("data")), 8, "unsupported"), HasSubstr("cannot run"));
  std::vector<std::string> arguments = trace(make_driver(""), file("traces"));
  arguments.back() = file("nowhere.so");
  EXPECT_THAT(expect_error(arguments, 8, "unsupported"),
              AllOf(HasSubstr("nowhere.so"), HasSubstr("--preload")));
}

TEST_F(CliLabGuestTest, PartIsTheFirstThatIsThere) {
  write("one", "");
  write("two", "");
  EXPECT_EQ(*find_part("part", "--part", {}, {file("none"), file("one"), file("two")}),
            file("one"));
  EXPECT_EQ(*find_part("part", "--part", file("two"), {file("one")}), file("two"));
  const auto none = find_part("part", "--part", {}, {file("none"), file("images")});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(none.error().message,
              AllOf(HasSubstr(file("none")), HasSubstr(file("images")), HasSubstr("--part")));
}

// The driver that comes with thaw, as far as it goes without a guest.
TEST_F(CliLabGuestTest, MissingImageNamesTheVerbThatBuildsIt) {
  if (!std::filesystem::exists("/usr/bin/python3")) GTEST_SKIP() << "SKIP: no /usr/bin/python3";
  std::vector<std::string> arguments = trace("", file("traces"));
  std::erase(arguments, "--driver");
  std::erase(arguments, "");
  arguments.insert(arguments.end(), {"--function", "matmul"});
  const std::string told = expect_error(arguments, 1, "unavailable");
  EXPECT_THAT(told, AllOf(HasSubstr(file("images") + "/guest-image-numpy"), HasSubstr("matmul"),
                          HasSubstr("thaw lab build --output " + file("images"))));
  EXPECT_FALSE(std::filesystem::exists(file("traces")));
}

TEST_F(CliLabGuestTest, InterruptedDriverUnwinds) {
  const std::string driver =
      make_driver("trap 'sleep 0.2; touch " + file("unwound") + "; exit 143' TERM\n" +
                  print(kImage) + "touch " + file("started") + "\nwhile :; do sleep 0.01; done\n");
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto thaw = start(build(driver));
    wait_for("started");
    thaw->kill(signal);
    const Outcome outcome = thaw->wait();
    EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
    EXPECT_THAT(outcome.out, Not(HasSubstr("guest-image")));
    EXPECT_TRUE(std::filesystem::exists(file("unwound")));
    std::filesystem::remove(file("started"));
    std::filesystem::remove(file("unwound"));
  }
}

TEST_F(CliLabGuestTest, DriverOfAKilledThawUnwinds) {
  const auto thaw =
      start(build(make_driver("trap 'touch " + file("unwound") + "; exit 143' TERM\ntouch " +
                              file("started") + "\nwhile :; do sleep 0.01; done\n")));
  wait_for("started");
  thaw->kill(SIGKILL);
  EXPECT_EQ(thaw->wait().exit_code, -1);
  wait_for("unwound");
}

}  // namespace
}  // namespace thaw
