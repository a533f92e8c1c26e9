// SPDX-License-Identifier: Apache-2.0
//
// S3Store while the server goes wrong in every way the strict server can: what comes back is the
// object byte for byte or the error that names the cause, and the server is never asked more often
// than the budgets allow.
#include "thaw/s3/s3_store_fault_test.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <string>
#include <vector>

namespace thaw {
namespace {

using std::chrono::milliseconds;
using testing::IsEmpty;

/// Faults of the first two requests that the third attempt gets over.
struct Passing {
  const char* name;
  double S3Chaos::* rate;
};
class S3StorePassingFaultTest : public S3StoreFaultTest,
                                public testing::WithParamInterface<Passing> {};

TEST_P(S3StorePassingFaultTest, AReadGetsOverIt) {
  const Bytes bytes = object("k");
  options_.stall_ms = 100;
  S3Chaos chaos;
  chaos.*GetParam().rate = 1;
  chaos.count = 2;
  server_->set_chaos(chaos);
  Bytes out(bytes.size());
  const auto got = store().get_into("k", out);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(counters().retries, 2u);
  EXPECT_EQ(server_->gets_of("k"), 3u);

  server_->set_chaos(chaos);
  const auto whole = store().get("k", bytes.size());
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(*whole, bytes);

  server_->set_chaos(chaos);
  Bytes part(1000);
  const auto ranged = store().get_range("k", 77, part);
  ASSERT_TRUE(ranged) << ranged.error().message;
  EXPECT_TRUE(std::equal(part.begin(), part.end(), bytes.begin() + 77));

  server_->set_chaos(chaos);
  const auto listed = list_all(store());
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->size(), 1u);
}

TEST_P(S3StorePassingFaultTest, ItNamesTheCauseIfItStays) {
  const Bytes bytes = object("k");
  options_.stall_ms = 50;
  options_.attempts_max = 3;
  S3Chaos chaos;
  chaos.*GetParam().rate = 1;
  server_->set_chaos(chaos);
  Bytes out(bytes.size());
  expect_error(store().get_into("k", out), ErrorCode::kUnavailable, "3 attempts");
  EXPECT_EQ(server_->gets_of("k"), 3u);
}

INSTANTIATE_TEST_SUITE_P(Faults, S3StorePassingFaultTest,
                         testing::Values(Passing{"error", &S3Chaos::error_rate},
                                         Passing{"throttle", &S3Chaos::throttle_rate},
                                         Passing{"reset", &S3Chaos::reset_rate},
                                         Passing{"garbage", &S3Chaos::garbage_rate},
                                         Passing{"cut", &S3Chaos::cut_rate},
                                         Passing{"truncate", &S3Chaos::truncate_rate},
                                         Passing{"stall", &S3Chaos::stall_rate}),
                         [](const auto& passing) { return passing.param.name; });

TEST_F(S3StoreFaultTest, ThrottlesAreCounted) {
  object("k");
  server_->set_chaos({.throttle_rate = 1, .count = 3});
  ASSERT_TRUE(store().exists("k"));
  EXPECT_EQ(counters().throttles, 3u);
  EXPECT_EQ(counters().requests, 4u);
}

TEST_F(S3StoreFaultTest, AWrongLengthIsCorruptAndNotRepeated) {
  const Bytes bytes = object("k");
  for (uint64_t seed = 1; seed <= 6; ++seed) {  // shorter and longer ones
    server_->set_chaos({.seed = seed, .wrong_length_rate = 1});
    Bytes out(bytes.size());
    expect_error(store().get_into("k", out), ErrorCode::kCorrupt, "were expected");
  }
  EXPECT_EQ(counters().retries, 0u);
  EXPECT_EQ(counters().corrupt_answers, 6u);
}

TEST_F(S3StoreFaultTest, StaleAndDamagedBytesOfTheRightLengthAreTheCallersToFind) {
  const Bytes old_bytes = object("k");
  const Bytes bytes = sample_bytes(99, old_bytes.size());
  server_->set_object(options_.bucket, "k", bytes);
  Bytes out(bytes.size());
  server_->set_chaos({.stale_rate = 1});
  ASSERT_TRUE(store().get_into("k", out));
  EXPECT_EQ(out, old_bytes);
  server_->set_chaos({.corrupt_rate = 1});
  ASSERT_TRUE(store().get_into("k", out));
  size_t differing = 0;
  for (size_t i = 0; i < out.size(); ++i) differing += out[i] != bytes[i] ? 1 : 0;
  EXPECT_EQ(differing, 1u);
}

TEST_F(S3StoreFaultTest, ForbiddenIsFinal) {
  object("k");
  server_->set_chaos({.forbid_rate = 1});
  Bytes out(50'000);
  expect_error(store().get_into("k", out), ErrorCode::kDenied, "policy");
  expect_error(store().replace("k", out), ErrorCode::kDenied, "policy");
  expect_error(store().exists("k"), ErrorCode::kDenied, "policy");
  expect_error(list_all(store()), ErrorCode::kDenied, "policy");
  expect_error(store().check(), ErrorCode::kDenied, "policy");
  EXPECT_EQ(counters().retries, 0u);
  EXPECT_EQ(counters().denials, 5u);
}

TEST_F(S3StoreFaultTest, AWrongSecretIsDenied) {
  S3Account account = server_->options().account;
  account.secret_key = "another";
  store_ = open_store(options_, account);
  expect_error(store().check(), ErrorCode::kDenied, "check the secret access key");
  account.access_key = "nobody";
  store_ = open_store(options_, account);
  expect_error(store().check(), ErrorCode::kDenied, "check the access key id");
  server_->forget();  // a wrong signature is a violation to the server
}

TEST_F(S3StoreFaultTest, AWrongClockIsNamed) {
  server_->set_clock_offset(std::chrono::minutes(50));
  expect_error(store().check(), ErrorCode::kDenied, "behind the server's");
  server_->set_clock_offset(-std::chrono::minutes(50));
  expect_error(store().check(), ErrorCode::kDenied, "ahead of the server's");
  expect_error(store().exists("k"), ErrorCode::kDenied, "ahead of the server's");
  EXPECT_EQ(counters().retries, 0u);
}

TEST_F(S3StoreFaultTest, AMissingBucketIsNoMissingObject) {
  options_.bucket = "none-such";
  const std::string text = "bucket \"none-such\" does not exist at " + server_->endpoint();
  Bytes out(1);
  expect_error(store().get("k", 1), ErrorCode::kInvalid, text);
  expect_error(store().get_into("k", out), ErrorCode::kInvalid, text);
  expect_error(store().exists("k"), ErrorCode::kInvalid, text);
  expect_error(list_all(store()), ErrorCode::kInvalid, text);
  expect_error(put("k", out), ErrorCode::kInvalid, text);
  expect_error(store().check(), ErrorCode::kInvalid, text);
  ASSERT_TRUE(store().create_bucket());
  EXPECT_TRUE(store().check());
  EXPECT_EQ(*put("k", out), PutOutcome::kCreated);
  ASSERT_TRUE(store().create_bucket());  // it is ours already
}

TEST_F(S3StoreFaultTest, AnUnknownHostIsUnavailable) {
  options_.endpoint = "http://nothing.invalid:9";
  options_.attempts_max = 2;
  options_.request_deadline_ms = 20'000;
  expect_error(store().check(), ErrorCode::kUnavailable, "nothing.invalid");
  EXPECT_GE(counters().transport_errors + counters().timeouts, 1u);
}

TEST_F(S3StoreFaultTest, NobodyListeningIsUnavailable) {
  const uint16_t port = start_server()->port();  // free again
  options_.endpoint = "http://127.0.0.1:" + std::to_string(port);
  options_.attempts_max = 3;
  expect_error(store().check(), ErrorCode::kUnavailable, "3 attempts");
}

TEST_F(S3StoreFaultTest, TheDeadlineEndsACallThatHangs) {
  object("k");
  server_->set_chaos({.hold = true});
  options_.request_deadline_ms = 50;
  Bytes out(50'000);
  const auto begin = std::chrono::steady_clock::now();
  expect_error(store().get_into("k", out), ErrorCode::kUnavailable, "1 attempt");
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(40));

  std::latch done(1);
  store().start_get("k", out, deadline_in(milliseconds(20)), [&](Result<void> got) {
    expect_error(got, ErrorCode::kUnavailable, "1 attempt");
    done.count_down();
  });
  done.wait();
}

TEST_F(S3StoreFaultTest, ADeadlineThatHasPassedMakesNoWrongAnswer) {
  object("k");
  Bytes out(50'000);
  std::latch done(1);
  store().start_get("k", out, std::chrono::steady_clock::now() - milliseconds(1),
                    [&](Result<void> got) {
                      EXPECT_FALSE(got);
                      if (!got) {
                        EXPECT_EQ(got.error().code, ErrorCode::kUnavailable);
                      }
                      done.count_down();
                    });
  done.wait();
}

TEST_F(S3StoreFaultTest, RetriesOfAllCallsTogetherStayInTheirBudget) {
  object("k");
  options_.retry_share = 0.1;
  options_.retry_reserve = 7;
  server_->set_chaos({.error_rate = 1});
  Bytes out(50'000);
  constexpr unsigned kCalls = 100;
  for (unsigned i = 0; i < kCalls; ++i) {
    const auto got = store().get_into("k", out);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ErrorCode::kUnavailable);
  }
  // What the server saw, not what the client says.
  EXPECT_LE(server_->gets_of("k"), kCalls + 7 + kCalls / 10);
  EXPECT_GE(server_->gets_of("k"), kCalls + 7);
  EXPECT_EQ(counters().requests, server_->gets_of("k"));
  EXPECT_GT(counters().retry_budget_exhausted, 50u);
  expect_error(store().get_into("k", out), ErrorCode::kUnavailable, "500");

  // Healed, it serves again at once.
  server_->set_chaos({});
  EXPECT_TRUE(store().get_into("k", out));
}

TEST_F(S3StoreFaultTest, DestructionEndsWhatIsUnderWay) {
  constexpr size_t kReads = 200;  // more than there are connections
  object("k", 1000);
  server_->set_chaos({.hold = true});
  std::vector<Bytes> out(kReads, Bytes(1000));
  std::atomic<size_t> interrupted{0};
  options_.connections_max = 16;
  S3Store* const raw = &store();
  for (size_t i = 0; i < kReads; ++i) {
    raw->start_get("k", out[i], kNoDeadline, [&, raw](Result<void> got) {
      if (!got && got.error().code == ErrorCode::kInterrupted) ++interrupted;
      // What begins while the store goes ends as well.
      raw->start_get("k", out[0], kNoDeadline, [](Result<void> more) {
        EXPECT_EQ(more.error().code, ErrorCode::kInterrupted);
      });
    });
  }
  ASSERT_TRUE(server_->wait_for_in_flight(16));
  EXPECT_EQ(server_->counts().in_flight_max, 16u);
  store_.reset();
  EXPECT_EQ(interrupted, kReads);
}

TEST_F(S3StoreFaultTest, TooManyCallsAreRefusedAtOnce) {
  object("k", 1000);
  server_->set_chaos({.hold = true});
  options_.calls_max = 10;
  std::vector<Bytes> out(10, Bytes(1000));
  std::latch done(10);
  for (Bytes& each : out) {
    store().start_get("k", each, kNoDeadline, [&](Result<void> got) {
      EXPECT_TRUE(got) << got.error().message;
      done.count_down();
    });
  }
  Bytes more(1000);
  expect_error(store().get_into("k", more), ErrorCode::kOverloaded, "10 calls");
  EXPECT_EQ(counters().calls_refused, 1u);
  server_->set_chaos({});
  done.wait();
  EXPECT_TRUE(store().get_into("k", more));
}

TEST_F(S3StoreFaultTest, ManyReadsAndWritesInChaosNeverAWrongByte) {
  options_.hedge_percentile = 95;
  options_.stall_ms = 200;
  options_.retry_share = 1;  // so that luck alone decides
  options_.retry_reserve = 1000;
  options_.attempts_max = 30;
  const S3Chaos chaos{.seed = 11,
                      .error_rate = 0.05,
                      .throttle_rate = 0.05,
                      .conflict_rate = 0.02,
                      .reset_rate = 0.03,
                      .garbage_rate = 0.03,
                      .lost_answer_rate = 0.05,
                      .stall_rate = 0.005,
                      .cut_rate = 0.03,
                      .truncate_rate = 0.03,
                      .delay = std::chrono::microseconds(3000),
                      .delay_rate = 0.1};
  server_->set_chaos(chaos);
  SCOPED_TRACE(server_->describe());
  constexpr size_t kObjects = 300;
  std::vector<Bytes> contents;
  std::vector<PutRequest> group;
  for (size_t i = 0; i < kObjects; ++i) contents.push_back(sample_bytes(i, 100 + i * 37));
  for (size_t i = 0; i < kObjects; ++i) group.push_back({"o/" + std::to_string(i), contents[i]});
  const auto outcomes = store().put_if_absent(group);
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  for (size_t i = 0; i < kObjects; ++i) {
    EXPECT_EQ((*outcomes)[i], PutOutcome::kCreated) << i;
    expect_object(group[i].key, contents[i]);
  }
  std::vector<Bytes> out;
  for (const Bytes& each : contents) out.emplace_back(each.size());
  std::latch done(kObjects);
  for (size_t i = 0; i < kObjects; ++i) {
    store().start_get(group[i].key, out[i], kNoDeadline, [&](Result<void> got) {
      EXPECT_TRUE(got) << got.error().message;
      done.count_down();
    });
  }
  done.wait();
  EXPECT_EQ(out, contents);
  const auto listed = list_all(store(), "o/");
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->size(), kObjects);
  std::vector<std::string> keys;
  for (const PutRequest& request : group) keys.push_back(request.key);
  const auto removed = store().remove_all(keys);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_THAT(server_->keys(options_.bucket), IsEmpty());
  EXPECT_GT(counters().retries, 50u);
}

}  // namespace
}  // namespace thaw
