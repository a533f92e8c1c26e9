// SPDX-License-Identifier: Apache-2.0
//
// How the command reads and writes words: amounts, JSON, tables, text that is safe for a terminal,
// exit codes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "thaw/base/units.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/exit_code.h"
#include "thaw/cli/json_object.h"
#include "thaw/cli/output.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

TEST(Amounts, SizesAreStrict) {
  EXPECT_EQ(parse_size("0").value(), 0u);
  EXPECT_EQ(parse_size("4096").value(), 4096u);
  EXPECT_EQ(parse_size("7B").value(), 7u);
  EXPECT_EQ(parse_size("512KiB").value(), 512 * kKiB);
  EXPECT_EQ(parse_size("2GiB").value(), 2 * kGiB);
  EXPECT_EQ(parse_size("18446744073709551615").value(), UINT64_MAX);
  EXPECT_EQ(parse_size("16777215TiB").value(), uint64_t{16777215} * 1024 * kGiB);
  for (const char* wrong :
       {"", " 1", "1 ", "+1", "-1", "1.5GiB", "512k", "512K", "512kib", "512 KiB", "KiB", "0x10",
        "1e3", "18446744073709551616", "16777216TiB", "1KiB1", "\xff"}) {
    EXPECT_EQ(parse_size(wrong).error().code, ErrorCode::kInvalid) << wrong;
  }
}

TEST(Amounts, CountsAreStrict) {
  EXPECT_EQ(parse_count("0", 0, 5).value(), 0u);
  EXPECT_EQ(parse_count("010", 0, 10).value(), 10u);
  for (const char* wrong : {"", "6", "-1", "+1", "1 ", "x", "99999999999999999999"}) {
    EXPECT_FALSE(parse_count(wrong, 0, 5)) << wrong;
  }
}

TEST(Amounts, TimesRatesAndShares) {
  EXPECT_EQ(format_seconds(0), "0 ms");
  EXPECT_EQ(format_seconds(0.35), "350 ms");
  EXPECT_EQ(format_seconds(0.9999), "1.0 s");
  EXPECT_EQ(format_seconds(59.99), "1 min 0 s");
  EXPECT_EQ(format_seconds(125), "2 min 5 s");
  EXPECT_EQ(format_seconds(3 * 3600 + 120), "3 h 2 min");
  EXPECT_EQ(format_rate(3 * kMiB, 2), "1.5 MiB/s");
  EXPECT_EQ(format_rate(1, 0), "-");
  EXPECT_EQ(format_share(593, 1000), "59.3 %");
  EXPECT_EQ(format_share(0, 0), "-");
  EXPECT_EQ(format_count(1, "chunk"), "1 chunk");
  EXPECT_EQ(format_count(0, "chunk"), "0 chunks");
}

TEST(JsonObjects, AreJsonWhateverTheText) {
  JsonObject inner;
  inner.set("deep", true);
  std::vector<JsonObject> list(2);
  list[1].set("x", 1);
  const std::vector<std::string> words{"a", "b\""};
  std::string hostile;
  for (int c = 0; c < 256; ++c) hostile += static_cast<char>(c);
  JsonObject object;
  object.set("text", "q\"b\\n\n\t\x01\x7f caf\xc3\xa9")
      .set("hostile", hostile)
      .set(hostile, 1)
      .set("big", std::numeric_limits<uint64_t>::max())
      .set("negative", -5)
      .set("half", 0.5)
      .set("nan", std::nan(""))
      .set("inner", inner)
      .set("list", list)
      .set("words", words);
  EXPECT_EQ(object.text().find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(object.text());
  EXPECT_EQ(parsed["text"], "q\"b\\n\n\t\x01\x7f caf\xc3\xa9");
  EXPECT_EQ(parsed["big"], std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(parsed["negative"], -5);
  EXPECT_EQ(parsed["half"], 0.5);
  EXPECT_TRUE(parsed["nan"].is_null());
  EXPECT_EQ(parsed["inner"]["deep"], true);
  EXPECT_EQ(parsed["list"][1]["x"], 1);
  EXPECT_EQ(parsed["words"][1], "b\"");
  EXPECT_EQ(nlohmann::json::parse(JsonObject().text()).size(), 0u);
}

TEST(Printable, EscapesWhatMovesTheCursorOrIsNoText) {
  EXPECT_EQ(printable("plain\ntwo lines"), "plain\ntwo lines");
  EXPECT_EQ(printable("caf\xc3\xa9 \xe2\x82\xac"), "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(printable("\x1b[31m\r\x7f"), "\\x1b[31m\\x0d\\x7f");
  EXPECT_EQ(printable("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // CSI as one character
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");
}

TEST(Tables, AlignColumns) {
  TextTable table;
  table.add({"A", "LONG"});
  table.add({"wide one", "x", "y"});
  EXPECT_EQ(table.text(), "A         LONG\nwide one  x     y\n");
}

TEST(Pairs, AreCutAtTheFirstEqualsSign) {
  const auto pair = split_pair("--disk", "root=a=b").value();
  EXPECT_EQ(pair.first, "root");
  EXPECT_EQ(pair.second, "a=b");
  EXPECT_EQ(split_pair("--annotate", "k=").value().second, "");
  EXPECT_FALSE(split_pair("--disk", "root"));
  EXPECT_FALSE(split_pair("--disk", "=x"));
}

TEST(ExitCodes, AllButFailuresOfTheMediumDiffer) {
  std::set<int> codes;
  for (const ErrorCode code :
       {ErrorCode::kInvalid, ErrorCode::kNotFound, ErrorCode::kExists, ErrorCode::kCorrupt,
        ErrorCode::kDenied, ErrorCode::kExhausted, ErrorCode::kUnsupported, ErrorCode::kInterrupted,
        ErrorCode::kUnavailable}) {
    codes.insert(static_cast<int>(exit_code_for(code)));
  }
  EXPECT_EQ(codes.size(), 9u);
  EXPECT_FALSE(codes.contains(0));
  EXPECT_EQ(exit_code_for(ErrorCode::kGone), ExitCode::kFailed);
  for (const int code : codes) {
    EXPECT_NE(exit_codes_help().find("\n  " + std::to_string(code) + " "), std::string::npos)
        << code;
  }
}

}  // namespace
}  // namespace thaw
