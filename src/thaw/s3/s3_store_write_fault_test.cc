// SPDX-License-Identifier: Apache-2.0
//
// S3Store's puts and removals while answers are lost or say no: what became of each object is told.
#include <string>
#include <vector>

#include "thaw/s3/s3_store_fault_test.h"

namespace thaw {
namespace {

using testing::IsEmpty;

TEST_F(S3StoreFaultTest, APutWhoseAnswerIsLostIsCreated) {
  const Bytes bytes = sample_bytes(1, 20'000);
  server_->set_chaos({.lost_answer_rate = 1, .only = {S3Operation::kPut}, .count = 1});
  const auto outcome = put("k", bytes);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(*outcome, PutOutcome::kCreated);
  expect_object("k", bytes);
  EXPECT_EQ(server_->gets_of("k"), 1u);  // read back

  // On a kept connection curl repeats it by itself; the outcome has to be the same.
  const Bytes more = sample_bytes(2, 20'000);
  server_->set_chaos({.lost_answer_rate = 1, .only = {S3Operation::kPut}, .count = 1});
  const auto again = put("l", more);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, PutOutcome::kCreated);
  expect_object("l", more);
}

TEST_F(S3StoreFaultTest, APutThatCurlRepeatedByItselfIsAmbiguousToo) {
  // On a kept connection: done and no answer, which curl repeats; that is throttled, which we
  // repeat; and only then comes the 412.
  S3Chaos plan{.throttle_rate = 0.4,
               .lost_answer_rate = 0.4,
               .only = {S3Operation::kPut},
               .key_prefix = "k",
               .count = 2};
  while (true) {
    S3Fates fates(plan);
    if (fates.next(S3Operation::kPut, "k").fault == S3Fault::kLostAnswer &&
        fates.next(S3Operation::kPut, "k").fault == S3Fault::kThrottle) {
      break;
    }
    ++plan.seed;
  }
  const Bytes bytes = sample_bytes(1, 20'000);
  ASSERT_TRUE(put("before", bytes));
  server_->set_chaos(plan);
  const auto outcome = put("k", bytes);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(*outcome, PutOutcome::kCreated);
  EXPECT_EQ(counters().throttles, 1u);
  expect_object("k", bytes);
}

TEST_F(S3StoreFaultTest, AnAmbiguousPutOfOtherBytesExisted) {
  const Bytes bytes = object("k", 1000);
  const Bytes other = sample_bytes(9, 1000);
  const Bytes longer = sample_bytes(9, 2000);
  for (const Bytes& each : {other, longer}) {
    server_->set_chaos({.reset_rate = 1, .only = {S3Operation::kPut}, .count = 1});
    const auto outcome = put("k", each);
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(*outcome, PutOutcome::kExisted);
  }
  expect_object("k", bytes);
}

TEST_F(S3StoreFaultTest, AConflictOfPutsIsRepeated) {
  const Bytes bytes = sample_bytes(1, 1000);
  server_->set_chaos({.conflict_rate = 1, .only = {S3Operation::kPut}, .count = 2});
  const auto outcome = put("k", bytes);
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(*outcome, PutOutcome::kCreated);
  expect_object("k", bytes);
}

TEST_F(S3StoreFaultTest, ReplaceAndRemovalGetOverLostAnswers) {
  const Bytes bytes = sample_bytes(1, 1000);
  const S3Chaos lost{.lost_answer_rate = 1, .count = 1};
  server_->set_chaos(lost);
  ASSERT_TRUE(store().replace("k", bytes));
  expect_object("k", bytes);
  server_->set_chaos(lost);
  ASSERT_TRUE(store().remove("k"));
  object("l");
  object("m");
  server_->set_chaos(lost);
  const std::vector<std::string> keys = {"l", "m"};
  ASSERT_TRUE(store().remove_all(keys));
  EXPECT_THAT(server_->keys(options_.bucket), IsEmpty());
}

TEST_F(S3StoreFaultTest, RemovalsThatFailForSomeKeysAreRepeated) {
  std::vector<std::string> keys;
  for (int i = 0; i < 2500; ++i) {
    keys.push_back("d/" + std::to_string(i));
    object(keys.back(), 1);
  }
  object("kept", 1);
  server_->set_chaos({.delete_error_rate = 0.3, .only = {S3Operation::kDeleteMany}});
  const auto removed = store().remove_all(keys);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(server_->keys(options_.bucket), std::vector<std::string>{"kept"});
  // Of 1000 keys with 30 % left each time, about 7 rounds.
  EXPECT_LE(server_->counts().of(S3Operation::kDeleteMany), 60u);
}

TEST_F(S3StoreFaultTest, AGroupThatFailsSaysWhy) {
  const Bytes bytes = sample_bytes(1, 1000);
  std::vector<PutRequest> group;
  for (int i = 0; i < 40; ++i) group.push_back({"g/" + std::to_string(i), bytes});
  server_->set_chaos({.forbid_rate = 1, .key_prefix = "g/17"});
  expect_error(store().put_if_absent(group), ErrorCode::kDenied, "g/17");
  // Each of the others is whole or not there.
  for (const std::string& key : server_->keys(options_.bucket)) expect_object(key, bytes);
  server_->set_chaos({});
  const auto outcomes = store().put_if_absent(group);
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  for (const PutRequest& request : group) expect_object(request.key, bytes);
}

}  // namespace
}  // namespace thaw
