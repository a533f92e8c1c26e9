// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/space_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint64_t kPages = 4096;
constexpr uint64_t kDataPages = 1000;

CellFunctions functions() {
  FunctionTrace function;
  function.name = "f";
  function.shape = {kPages, {{10, kDataPages}}};
  // A page twice is a page.
  function.measured = {kPages, {{10, false, 0}, {11, false, 0}, {10, true, 0}}};
  return {{{LabDriver::kReplay, "f"}, function}};
}

SpaceNeeds needs_of(const std::string& matrix) {
  const Scenario scenario = *parse_scenario(
      "repetitions = 3\nwarm_up = 1\n[[matrix]]\nfunction = [\"f\"]\n" + matrix, "s.toml");
  return space_needs(scenario, functions());
}

TEST(SpaceNeedsTest, FilesThatCellsShareCountOnce) {
  constexpr uint64_t kData = kDataPages * kPageBytes;
  constexpr uint64_t kImage = kPages * kPageBytes;
  const SpaceNeeds plain = needs_of("technique = [\"study_reap\", \"mapping\"]");
  EXPECT_EQ(plain.scratch_bytes, kData);
  EXPECT_EQ(plain.store_bytes, 2 * kData);
  EXPECT_EQ(plain.guest_bytes, 2 * kPageBytes);
  const SpaceNeeds one = needs_of("technique = [\"mapping\"]");
  EXPECT_GT(plain.result_bytes, one.result_bytes);
  // The study's file for each clone; the floor has all of its memory.
  EXPECT_EQ(needs_of("technique = [\"study_reap\"]\nstorage = [\"encrypted\"]\nparallel = [1, 4]")
                .scratch_bytes,
            kData + 4 * kImage);
  EXPECT_EQ(needs_of("technique = [\"present\"]\nparallel = [8]").guest_bytes, 8 * kImage);
  // A home for each size of chunks, with a disk cache where chunks are local.
  const std::string chunks =
      "storage = [\"chunked_encrypted\"]\nchunk_bytes = [16384, 65536]\ntechnique = [\"hot\"]\n";
  EXPECT_EQ(needs_of(chunks + "tier = [\"memory\"]").scratch_bytes, 2 * kData);
  EXPECT_EQ(needs_of(chunks + "tier = [\"memory\", \"local\"]").scratch_bytes,
            2 * kData + 2 * 64 * kMiB);
  // One more where clones have snapshots of their own.
  EXPECT_EQ(needs_of("storage = [\"chunked_encrypted\"]\ntechnique = [\"hot\"]\n"
                     "tier = [\"local\"]\nparallel = [4]\nclones = [\"same\", \"different\"]")
                .scratch_bytes,
            kData + 64 * kMiB + 2 * kGiB);
  // Each child has its pages' chunks whole, and these pages twice more.
  const std::string clones =
      "storage = [\"chunked_encrypted\"]\ntechnique = [\"hot\"]\ntier = [\"memory\"]\n";
  EXPECT_EQ(
      needs_of(clones + "parallel = [4]\nclones = [\"different\"]").store_bytes,
      needs_of(clones + "parallel = [4]").store_bytes + 4 * (2 * 2 * kPageBytes + 512 * kKiB));
}

TEST(SpaceNeedsTest, WhatCannotFitIsRefusedWithBothFigures) {
  const TempDir dir;
  EXPECT_TRUE(check_space({.result_bytes = 1}, dir.path(), dir.path()));
  constexpr uint64_t kMuch = uint64_t{1} << 60;
  const auto error = [&](const SpaceNeeds& needs) {
    const Result<void> checked = check_space(needs, dir.path(), "/dev/shm");
    EXPECT_FALSE(checked);
    if (checked) return std::string();
    EXPECT_EQ(checked.error().code, ErrorCode::kExhausted);
    return checked.error().message;
  };
  EXPECT_THAT(error({.scratch_bytes = kMuch}),
              AllOf(HasSubstr("at least 1.0 EiB"), HasSubstr("scratch"), HasSubstr(dir.path()),
                    HasSubstr("free; make room"), HasSubstr("--output")));
  EXPECT_THAT(error({.store_bytes = kMuch}), AllOf(HasSubstr("/dev/shm"), HasSubstr("stores")));
  EXPECT_THAT(error({.guest_bytes = kMuch}), AllOf(HasSubstr("in memory"), HasSubstr("parallel")));
}

}  // namespace
}  // namespace thaw
