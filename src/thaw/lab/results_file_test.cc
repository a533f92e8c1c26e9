// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/results_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

Measurement sample(uint64_t repetition) {
  Measurement measurement;
  measurement.cell.function = "aes";
  measurement.cell.technique = Technique::kHot;
  measurement.cell.storage = LabStorage::kChunkedEncrypted;
  measurement.repetition = repetition;
  measurement.warm_up = repetition == 0;
  measurement.seed = 9;
  measurement.at = "2026-01-02T03:04:05Z";
  measurement.resume_ms = {1.5, 2.25};
  measurement.touches = 3;
  measurement.touch_mean_ns = 4.5;
  measurement.touch_max_ns = UINT64_MAX;
  measurement.fetch_ns = 5;
  measurement.touch_ns = {1, 2};
  measurement.zone_bytes = 6;
  measurement.private_mib = {0.5, 1};
  measurement.cpu_ms = 7.5;
  measurement.pages_checked = 8;
  return measurement;
}

ResultsHeader header(const std::string& digest) {
  ResultsHeader header;
  header.scenario = "s.toml";
  header.digest = digest;
  header.cpu = "a \"processor\"\n";
  header.cells = 2;
  header.commit = "0123+";
  header.versions = {"a 1", "b 2"};
  return header;
}

void expect_same(const Measurement& a, const Measurement& b) {
  EXPECT_EQ(encode_measurement(a), encode_measurement(b));
}

class ResultsFileTest : public testing::Test {
 protected:
  std::string path() const { return dir_.file("out/results.jsonl"); }
  std::string directory() const { return dir_.file("out"); }
  void append_text(const std::string& text) const {
    const Fd file = *open_file(path(), O_WRONLY | O_APPEND);
    ASSERT_TRUE(write_all(file.get(), as_bytes(text), path()));
  }

  TempDir dir_;
};

TEST_F(ResultsFileTest, WhatIsAppendedIsReadBack) {
  {
    auto file = *ResultsFile::open(directory(), header("d"));
    ASSERT_TRUE(file.append(sample(0)));
    ASSERT_TRUE(file.append(sample(1)));
  }
  const auto results = read_results(directory());
  ASSERT_TRUE(results) << results.error().message;
  EXPECT_EQ(encode_header(results->header), encode_header(header("d")));
  ASSERT_EQ(results->measurements.size(), 2U);
  expect_same(results->measurements[0], sample(0));
  expect_same(results->measurements[1], sample(1));
  EXPECT_TRUE(results->measurements[0].warm_up);
  EXPECT_EQ(results->measurements[1].touch_max_ns, UINT64_MAX);
}

TEST_F(ResultsFileTest, ALineThatWasCutOffAtAnyByteIsDroppedAndAllOthersStay) {
  const std::string line = encode_measurement(sample(1)) + "\n";
  for (size_t cut = 0; cut < line.size(); cut += 7) {
    const TempDir dir;
    {
      auto file = *ResultsFile::open(dir.path(), header("d"));
      ASSERT_TRUE(file.append(sample(0)));
      const Fd raw = *open_file(dir.file("results.jsonl"), O_WRONLY | O_APPEND);
      ASSERT_TRUE(write_all(raw.get(), as_bytes(line.substr(0, cut)), "results"));
    }
    auto file = ResultsFile::open(dir.path(), header("d"));
    ASSERT_TRUE(file) << cut << ": " << file.error().message;
    ASSERT_EQ(file->measurements().size(), 1U) << cut;
    ASSERT_TRUE(file->append(sample(2)));
    const auto results = read_results(dir.path());
    ASSERT_TRUE(results) << cut << ": " << results.error().message;
    ASSERT_EQ(results->measurements.size(), 2U);
    expect_same(results->measurements[1], sample(2));
  }
}

TEST_F(ResultsFileTest, ADamagedLineIsAnErrorWithItsNumber) {
  {
    auto file = *ResultsFile::open(directory(), header("d"));
    ASSERT_TRUE(file.append(sample(0)));
  }
  append_text("{\"cell\":{}}\n");
  const auto results = read_results(directory());
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(results.error().message, HasSubstr("line 3"));
  EXPECT_FALSE(ResultsFile::open(directory(), header("d")));
}

TEST_F(ResultsFileTest, ResultsOfAnotherScenarioAreLeftAlone) {
  {
    auto file = *ResultsFile::open(directory(), header("d"));
    ASSERT_TRUE(file.append(sample(0)));
  }
  const auto other = ResultsFile::open(directory(), header("e"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kExists);
  EXPECT_THAT(other.error().message, HasSubstr("--output"));
  EXPECT_EQ(read_results(directory())->measurements.size(), 1U);
}

TEST_F(ResultsFileTest, ResultsOfAnotherThawOrMachineAreLeftAlone) {
  {
    auto file = *ResultsFile::open(directory(), header("d"));
    ASSERT_TRUE(file.append(sample(0)));
  }
  ResultsHeader now = header("d");
  now.kernel = "another";
  const auto other = ResultsFile::open(directory(), now);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kExists);
  EXPECT_THAT(other.error().message,
              AllOf(HasSubstr("kernel was unknown, is another"), HasSubstr("--output")));
  EXPECT_EQ(read_results(directory())->measurements.size(), 1U);
  now = header("d");
  now.started = "later";
  now.scenario = "elsewhere/s.toml";
  EXPECT_TRUE(ResultsFile::open(directory(), now));
  EXPECT_EQ(encode_header(read_results(directory())->header), encode_header(header("d")));
}

TEST_F(ResultsFileTest, AHeaderAloneBindsNobody) {
  ASSERT_TRUE(ResultsFile::open(directory(), header("d")));
  ResultsHeader now = header("e");
  now.commit = "another";
  {
    auto file = ResultsFile::open(directory(), now);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(file->append(sample(0)));
  }
  const auto results = read_results(directory());
  ASSERT_TRUE(results) << results.error().message;
  EXPECT_EQ(encode_header(results->header), encode_header(now));
  EXPECT_EQ(results->measurements.size(), 1U);
}

TEST_F(ResultsFileTest, OneProcessWritesAtATime) {
  const auto first = *ResultsFile::open(directory(), header("d"));
  const auto second = ResultsFile::open(directory(), header("d"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kExhausted);
}

TEST_F(ResultsFileTest, NoResultsIsAnError) {
  const auto none = read_results(dir_.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(decode_header("{\"thaw_lab\":3}").error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace thaw
