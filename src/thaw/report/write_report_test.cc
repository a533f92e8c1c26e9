// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/write_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/report/report_test.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

class WriteReportTest : public testing::Test {
 protected:
  WriteReportTest() {
    write("library.js", "/*!\n * Chart.js v3.9.1\n */ 'the library'");
    write_results(false);
  }
  void write(const std::string& name, std::string_view text) {
    ASSERT_TRUE(replace_file(dir_.file(name), as_bytes(text), 0600));
  }
  std::string text_of(const std::string& path) {
    const auto bytes = read_file(path, 1 << 30);
    return bytes ? std::string(as_text(*bytes)) : "";
  }
  void write_results(bool only_warm_up) {
    MadeResults made;
    made.add({}, {1, 2, 3});
    made.add({{"storage", "chunked_encrypted"}, {"technique", "hot"}}, {1, 2, 3});
    std::string text = encode_header({}) + "\n";
    for (Measurement& each : made.results.measurements) {
      each.warm_up = only_warm_up;
      text += encode_measurement(each) + "\n";
    }
    write("results.jsonl", text);
  }
  ReportOptions options() {
    return {.results = dir_.path(), .plotting_library = dir_.file("library.js")};
  }

  TempDir dir_;
};

TEST_F(WriteReportTest, APageWithTheLibraryAndACsvFileForEachFigure) {
  const auto written = write_report(options());
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->html, dir_.path() + "/report.html");
  const std::string page = text_of(written->html);
  EXPECT_EQ(page.size(), written->html_bytes);
  EXPECT_THAT(page, HasSubstr("'the library'"));
  ASSERT_FALSE(written->csv.empty());
  for (const std::string& path : written->csv) {
    EXPECT_THAT(text_of(path), HasSubstr("\r\n")) << path;
  }
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/report/overhead.csv"));
  // The same results give the same bytes.
  ASSERT_TRUE(write_report(options()));
  EXPECT_EQ(text_of(written->html), page);
}

TEST_F(WriteReportTest, WhatAnOlderReportHadAndThisHasNotGoes) {
  ASSERT_TRUE(write_report(options()));
  write("report/time_by_parallel.csv", "old");
  write("report/notes.txt", "mine");
  ASSERT_TRUE(write_report(options()));
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/report/time_by_parallel.csv"));
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/report/notes.txt"));
}

TEST_F(WriteReportTest, ErrorsSayWhatToDo) {
  write_results(true);
  const auto warm_up = write_report(options());
  ASSERT_FALSE(warm_up);
  EXPECT_EQ(warm_up.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(warm_up.error().message, HasSubstr("warm-up rounds only"));
  write("results.jsonl", encode_header({}) + "\n");
  EXPECT_THAT(write_report(options()).error().message, HasSubstr("no measurement"));

  ReportOptions nowhere = options();
  nowhere.results = dir_.file("nowhere");
  EXPECT_EQ(write_report(nowhere).error().code, ErrorCode::kNotFound);

  ReportOptions missing = options();
  missing.plotting_library = dir_.file("missing.js");
  EXPECT_EQ(write_report(missing).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(write_report(missing).error().message,
              AllOf(HasSubstr("missing.js"), HasSubstr("libjs-chart.js")));
  write("other.js", "/* jQuery v3.1 */");
  missing.plotting_library = dir_.file("other.js");
  EXPECT_EQ(write_report(missing).error().code, ErrorCode::kUnsupported);
  write("old.js", "/*! Chart.js v2.9.4 */");
  missing.plotting_library = dir_.file("old.js");
  EXPECT_THAT(write_report(missing).error().message, HasSubstr("Chart.js 2.9.4"));
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/report.html"));
}

TEST_F(WriteReportTest, AFullDiskLeavesTheOldPageAndNoHalfOne) {
  // In a mount namespace of our own, so that nothing stays mounted whatever happens.
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    GTEST_SKIP() << "a mount namespace is not permitted: " << std::strerror(errno);
  }
  const std::string small = dir_.file("small");
  ASSERT_TRUE(make_directories(small));
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=16k,mode=0700") != 0) {
    GTEST_SKIP() << "mounting is not permitted: " << std::strerror(errno);
  }
  ReportOptions full = options();
  full.html = small + "/report.html";
  ASSERT_TRUE(replace_file(*full.html, as_bytes("the old page"), 0600));
  const auto written = write_report(full);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kExhausted) << written.error().message;
  EXPECT_EQ(text_of(*full.html), "the old page");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(small), {}), 1);
  EXPECT_EQ(::umount2(small.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace thaw
