// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace thaw {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text) {
  const auto scenario = parse_scenario(text, "s.toml");
  return scenario ? "no error" : scenario.error().message;
}

TEST(ScenarioTest, EveryCombinationOnceAndThoseWithoutSenseWithAReason) {
  const auto scenario = parse_scenario(R"(
    seed = 7
    repetitions = 3
    warm_up = 2
    [[matrix]]
    storage = ["plain", "chunked_encrypted"]
    technique = ["study_reap", "hot"]
    function = ["aes", "json"]
    [[matrix]]
    storage = ["plain"]
    technique = ["study_reap", "present"]
    function = ["aes"]
  )",
                                       "s.toml");
  ASSERT_TRUE(scenario) << scenario.error().message;
  EXPECT_EQ(scenario->seed, 7U);
  EXPECT_EQ(scenario->repetitions, 3U);
  EXPECT_EQ(scenario->warm_up, 2U);
  // study_reap on both, hot on chunks, for two functions; and present.
  EXPECT_EQ(scenario->cells.size(), 7U);
  ASSERT_EQ(scenario->excluded.size(), 2U);  // hot on a plain file
  EXPECT_THAT(scenario->excluded[0].why, HasSubstr("encrypted chunks"));
  std::set<std::string> keys;
  for (const Cell& cell : scenario->cells) {
    EXPECT_TRUE(keys.insert(cell.key()).second) << cell.key();
    EXPECT_FALSE(excluded(cell)) << cell.key();
  }
}

// What one VMM can and another cannot is left out, not refused.
TEST(ScenarioTest, FirecrackerHasNoFloor) {
  Cell cell;
  cell.technique = Technique::kPresent;
  cell.driver = LabDriver::kQemu;
  EXPECT_FALSE(excluded(cell));
  EXPECT_EQ(real_vmm_of(cell), GuestVmm::kQemu);
  cell.driver = LabDriver::kFirecracker;
  EXPECT_THAT(excluded(cell).value_or(""), HasSubstr("before Firecracker runs it"));
  EXPECT_EQ(real_vmm_of(cell), GuestVmm::kFirecracker);
  cell.technique = Technique::kMapping;
  EXPECT_FALSE(excluded(cell));
  cell.driver = LabDriver::kReplay;
  EXPECT_EQ(real_vmm_of(cell), std::nullopt);
}

TEST(ScenarioTest, EveryAxisTakesItsValuesAndGivesThemBack) {
  for (const LabAxis& axis : lab_axes()) {
    std::vector<std::string> values = axis.words;
    if (axis.name == "function") values = {"json", "a-b"};
    if (axis.name == "chunk_bytes") values = {"16384", "4194304"};
    if (axis.name == "parallel") values = {"1", "64", "256"};
    ASSERT_FALSE(values.empty()) << axis.name;
    for (const std::string& value : values) {
      Cell cell;
      ASSERT_TRUE(set_axis(cell, axis.name, value)) << axis.name << "=" << value;
      EXPECT_EQ(axis_value(cell, axis.name), value);
    }
  }
}

TEST(ScenarioTest, ErrorsNameTheFileTheAxisAndWhatIsKnown) {
  EXPECT_THAT(error_of("[[matrix]]\nstorag = [\"plain\"]"),
              AllOf(HasSubstr("s.toml"), HasSubstr("no axis 'storag'"), HasSubstr("technique")));
  EXPECT_THAT(error_of("[[matrix]]\nstorage = [\"plane\"]"),
              AllOf(HasSubstr("'plane'"), HasSubstr("chunked_encrypted")));
  EXPECT_THAT(error_of("[[matrix]]\nchunk_bytes = [5000]"), HasSubstr("power of two"));
  EXPECT_THAT(error_of("[[matrix]]\nparallel = [0]"), HasSubstr("1 to 256"));
  EXPECT_THAT(error_of("[[matrix]]\nfunction = [\"../etc\"]"), HasSubstr("a name has"));
  EXPECT_THAT(error_of("[[matrix]]\nstorage = \"plain\""), HasSubstr("a list"));
  EXPECT_THAT(error_of("[[matrix]]\nstorage = []"), HasSubstr("at least one"));
  EXPECT_THAT(error_of("[[matrix]]\nstorage = [1.5]"), HasSubstr("whole numbers"));
  EXPECT_THAT(error_of("matrix = 1"), HasSubstr("[[matrix]]"));
  EXPECT_THAT(error_of("seed = 1\n[[matrix]]\n"),
              AllOf(HasSubstr("s.toml:2"), HasSubstr("the matrix is empty"), HasSubstr("axis")));
  EXPECT_THAT(error_of("matrix = []"), HasSubstr("there is no [[matrix]]"));
  EXPECT_THAT(error_of("seed = -1"), HasSubstr("seed"));
  EXPECT_THAT(error_of("repetitions = 0"), HasSubstr("from 1"));
  EXPECT_THAT(error_of("sede = 1"), HasSubstr("'sede' is not known"));
  EXPECT_THAT(error_of("seed = 1"), HasSubstr("there is no [[matrix]]"));
  EXPECT_THAT(error_of("[[matrix]]\ntechnique = [\"hot\"]"), HasSubstr("no combination"));
  EXPECT_THAT(error_of("seed = "), HasSubstr("s.toml:1"));
}

std::string matrix_of(int functions) {
  std::string text = "[[matrix]]\nparallel = [";
  for (int i = 1; i <= 256; ++i) text += std::to_string(i) + ",";
  text += "]\nfunction = [";
  for (int i = 0; i < functions; ++i) text += "\"f" + std::to_string(i) + "\",";
  return text + "]\n";
}

TEST(ScenarioTest, TooManyCellsAreRefusedBeforeTheyAreMade) {
  const auto one = parse_scenario(matrix_of(5000), "s.toml");
  ASSERT_FALSE(one);
  EXPECT_EQ(one.error().code, ErrorCode::kExhausted);
  // Each below the limit, together above it.
  const auto two = parse_scenario(matrix_of(100) + matrix_of(3900), "s.toml");
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(parse_scenario(matrix_of(100), "s.toml"));
}

TEST(ScenarioTest, TheDigestIsOfWhatIsMeasuredOnly) {
  const std::string cells = "[[matrix]]\nfunction = [\"aes\", \"json\"]\n";
  const auto digest = [&](const std::string& text) {
    return parse_scenario(text + cells, "s.toml")->digest();
  };
  EXPECT_EQ(digest("about = \"x\"\n"), digest("# a comment\n"));
  EXPECT_NE(digest("seed = 2\n"), digest(""));
  EXPECT_NE(digest("repetitions = 6\n"), digest(""));
}

}  // namespace
}  // namespace thaw
