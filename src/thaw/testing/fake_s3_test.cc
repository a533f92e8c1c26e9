// SPDX-License-Identifier: Apache-2.0
//
// thaw-fake-s3 as a process, and its control lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "thaw/sys/file_io.h"
#include "thaw/testing/child_process.h"
#include "thaw/testing/fake_s3_control.h"
#include "thaw/testing/s3_curl_test.h"

namespace thaw {
namespace {

using nlohmann::json;

class FakeS3Test : public testing::Test {
 protected:
  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), THAW_FAKE_S3_PATH);
    auto started =
        ChildProcess::start({.argv = arguments, .pipe_input = true, .pipe_output = true});
    ASSERT_TRUE(started) << started.error().message;
    child_ = std::move(*started);
    const auto line = child_->read_line();
    ASSERT_TRUE(line) << line.error().message;
    hello_ = json::parse(*line);
    account_ = {hello_["endpoint"], hello_["access_key"], hello_["secret_key"], hello_["region"]};
  }
  json control(const std::string& line) const {
    EXPECT_TRUE(write_all(child_->input(), as_bytes(line + "\n"), "the control line"));
    return json::parse(child_->read_line().value_or("null"));
  }
  std::unique_ptr<ChildProcess> child_;
  json hello_;
  S3CurlAccount account_;
};

TEST_F(FakeS3Test, ServesAndObeysAndReports) {
  start({"--bucket", "snapshots", "--access-key", "me", "--secret-key", "hush"});
  EXPECT_EQ(hello_["buckets"], json({"snapshots"}));
  EXPECT_EQ(s3_curl(account_, {"PUT", "/snapshots/k", "hello"}).status, 200);
  EXPECT_EQ(s3_curl(account_, {"GET", "/snapshots/k"}).body, "hello");
  const json planned = control(R"({"chaos": {"seed": 9, "error_rate": 1, "only": ["get"]}})");
  EXPECT_EQ(planned["ok"], true);
  EXPECT_THAT(planned["plan"].get<std::string>(), testing::HasSubstr("seed 9, error 1, of get"));
  EXPECT_EQ(s3_curl(account_, {"GET", "/snapshots/k"}).status, 500);
  EXPECT_EQ(s3_curl(account_, {"HEAD", "/snapshots/k"}).status, 200);
  const json report = control(R"({"report": true})");
  EXPECT_EQ(report["requests"]["get"], 2);
  EXPECT_EQ(report["faults"]["error"], 1);
  EXPECT_EQ(report["statuses"]["500"], 1);
  EXPECT_EQ(report["violations"], json::array());
  EXPECT_EQ(control(R"({"clock_offset_s": -7200})")["ok"], true);
  EXPECT_EQ(s3_curl(account_, {"HEAD", "/snapshots/k"}).status, 403);
  EXPECT_EQ(control(R"({"forget": true})")["ok"], true);
  EXPECT_EQ(control(R"({"report": true})")["requests"]["get"], 0);
  child_->close_input();
  EXPECT_EQ(child_->wait()->exit_code, 0);
}

TEST_F(FakeS3Test, RefusesLinesItDoesNotUnderstandAndChangesNothing) {
  start({"--shape", "zone", "--seed", "3"});
  for (const char* line :
       {"", "[]", "{}", "nonsense", R"({"chaos": 1})", R"({"chaos": {"error_rate": 2}})",
        R"({"chaos": {"error_rate": -1}})", R"({"chaos": {"error": 1}})",
        R"({"chaos": {"seed": -1}})", R"({"chaos": {"only": ["got"]}})",
        R"({"chaos": {"shape": "moon"}})", R"({"chaos": {"shape": {"p50_ms": 2, "p99_ms": 1}}})",
        R"({"chaos": {"error_rate": 0.6, "reset_rate": 0.6}})", R"({"clock_offset_s": "x"})",
        R"({"page_keys_max": 0})", R"({"report": true, "forget": true})", R"({"stop": true})"}) {
    const json answer = control(line);
    EXPECT_EQ(answer["ok"], false) << line;
    EXPECT_NE(answer["error"], "") << line;
  }
  EXPECT_EQ(s3_curl(account_, {"PUT", "/thaw-test/k", "x"}).status, 200);
}

TEST_F(FakeS3Test, StaysUntilItIsTold) {
  start({"--stay"});
  child_->close_input();
  EXPECT_EQ(s3_curl(account_, {"PUT", "/thaw-test/k", "x"}).status, 200);
  EXPECT_EQ(child_->stop().exit_code, 0);
}

TEST_F(FakeS3Test, ExplainsItself) {
  EXPECT_THAT(run_program({THAW_FAKE_S3_PATH, "--help"}).value_or(""),
              testing::HasSubstr("Usage: thaw-fake-s3"));
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"--port", "x"},
                                              {"--port", "65536"},
                                              {"--bind"},
                                              {"--what", "x"},
                                              {"--shape", "moon"}}) {
    std::vector<std::string> argv = bad;
    argv.insert(argv.begin(), THAW_FAKE_S3_PATH);
    const auto ran = run_program(argv);
    ASSERT_FALSE(ran) << bad[0];
    EXPECT_THAT(ran.error().message, testing::HasSubstr("exited with 2")) << bad[0];
  }
}

TEST(FakeS3Control, ReadsEveryMemberOfAPlan) {
  const auto chaos = decode_s3_chaos(R"({"seed": 4, "throttle_rate": 0.25, "delay_us": 1500,
      "delay_rate": 0.5, "stall_max_ms": 20, "hold": true, "key_prefix": "a/", "first": 2,
      "count": 3, "only": ["put", "delete_many"], "delete_error_rate": 1,
      "shape": {"p50_ms": 1, "p99_ms": 2, "p999_ms": 3, "bytes_per_s": 1e9}})");
  ASSERT_TRUE(chaos) << chaos.error().message;
  EXPECT_EQ(chaos->seed, 4u);
  EXPECT_EQ(chaos->throttle_rate, 0.25);
  EXPECT_EQ(chaos->delay, std::chrono::microseconds(1500));
  EXPECT_EQ(chaos->delay_rate, 0.5);
  EXPECT_EQ(chaos->stall_max, std::chrono::milliseconds(20));
  EXPECT_TRUE(chaos->hold);
  EXPECT_EQ(chaos->key_prefix, "a/");
  EXPECT_EQ(chaos->first, 2u);
  EXPECT_EQ(chaos->count, 3u);
  EXPECT_THAT(chaos->only, testing::ElementsAre(S3Operation::kPut, S3Operation::kDeleteMany));
  EXPECT_EQ(chaos->shape->bytes_per_s, 1e9);
  EXPECT_EQ(decode_s3_chaos(R"({"shape": "origin"})")->shape->p50_ms, 36);
}

}  // namespace
}  // namespace thaw
