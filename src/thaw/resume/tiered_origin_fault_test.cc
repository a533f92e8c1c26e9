// SPDX-License-Identifier: Apache-2.0
//
// Restores over an origin that fails, throttles, lies or is gone. What can be had again is had
// again; what cannot ends the VMM with the reason; and what is cached resumes without an origin.
#include "thaw/resume/tiered_restore_test.h"

namespace thaw {
namespace {

class TieredOriginFaultTest : public TieredRestoreTest {
 protected:
  /// A share that some request meets, and that no call meets attempts_max times in a row.
  static constexpr double kRate = 0.3;

  void SetUp() override {
    TieredRestoreTest::SetUp();
    if (IsSkipped()) return;
    snapshot_ = freeze();
    open_tiers(tiers());
    count_anew();
  }
  uint64_t chunks() const { return snapshot_->chunk_count(); }
  const OriginTier::Counters& origin() const { return stack_->origin().counters(); }
  /// Tiers with other options of the store.
  void reopen(const TierOptions& options) {
    open_tiers(options);
    if (options.zone) wait_for_nodes(options.zone->nodes.size());
  }
  void reopen() { reopen(tiers()); }
  /// A GET is asked for again by the store until it is answered well.
  void expect_retried(S3Chaos plan, S3Fault fault) {
    plan.only = {S3Operation::kGet};
    server_->set_chaos(plan);
    SCOPED_TRACE(server_->describe());
    expect_restored(*snapshot_);
    EXPECT_GT(faults_met(fault), 0u);
    EXPECT_EQ(origin_gets(), chunks() + faults_met(fault));
    // A kept connection that is reset before an answer curl repeats by itself, uncounted.
    EXPECT_GT(store_->counters().retries, 0u);
    EXPECT_LE(store_->counters().retries, faults_met(fault));
    EXPECT_TRUE(fault == S3Fault::kReset || store_->counters().retries == faults_met(fault));
    EXPECT_EQ(origin().requests, chunks());
    EXPECT_EQ(origin().errors, 0u);
  }
  /// One GET is answered so; the origin tier finds it and asks once more.
  void expect_refetched(S3Chaos plan, S3Fault fault) {
    plan.only = {S3Operation::kGet};
    plan.first = 5;
    plan.count = 1;
    server_->set_chaos(plan);
    SCOPED_TRACE(server_->describe());
    expect_restored(*snapshot_);
    EXPECT_EQ(faults_met(fault), 1u);
    EXPECT_EQ(origin_gets(), chunks() + 1);
    EXPECT_EQ(origin().corrupt, 1u);
    EXPECT_EQ(origin().refetched, 1u);
    EXPECT_EQ(origin().errors, 0u);
  }
  /// The object of chunk `number` is these bytes from now on.
  void replace_object(uint32_t number, Bytes bytes) {
    server_->set_object(s3_.bucket, snapshot_->fixture.chunk_key_of(number), std::move(bytes));
  }
  Bytes object(uint32_t number) const {
    return *server_->object(s3_.bucket, snapshot_->fixture.chunk_key_of(number));
  }

  std::unique_ptr<TieredSnapshot> snapshot_;
};

TEST_F(TieredOriginFaultTest, AWellOriginIsAskedOnceForEachChunk) {
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), chunks());
  EXPECT_EQ(server_->distinct_gets(), chunks());
  EXPECT_EQ(store_->counters().retries, 0u);
}

TEST_F(TieredOriginFaultTest, Errors500AreRetried) {
  expect_retried({.error_rate = kRate}, S3Fault::kError);
}

TEST_F(TieredOriginFaultTest, SlowDown503IsRetried) {
  expect_retried({.throttle_rate = kRate}, S3Fault::kThrottle);
  EXPECT_EQ(store_->counters().throttles, faults_met(S3Fault::kThrottle));
}

TEST_F(TieredOriginFaultTest, ResetConnectionsAreRetried) {
  expect_retried({.reset_rate = kRate}, S3Fault::kReset);
}

TEST_F(TieredOriginFaultTest, BodiesThatAreCutAreRetried) {
  expect_retried({.cut_rate = kRate}, S3Fault::kCut);
}

TEST_F(TieredOriginFaultTest, TruncatedBodiesAreRetried) {
  expect_retried({.truncate_rate = kRate}, S3Fault::kTruncate);
}

TEST_F(TieredOriginFaultTest, AnswersThatAreNotS3AreRetried) {
  expect_retried({.garbage_rate = kRate}, S3Fault::kGarbage);
}

TEST_F(TieredOriginFaultTest, AnswersThatStallAreRetried) {
  constexpr uint64_t kStalls = 3;
  s3_.stall_ms = 300;
  reopen();
  server_->set_chaos({.stall_rate = 1, .only = {S3Operation::kGet}, .first = 5, .count = kStalls});
  SCOPED_TRACE(server_->describe());
  expect_restored(*snapshot_);
  EXPECT_EQ(faults_met(S3Fault::kStall), kStalls);
  EXPECT_GE(store_->counters().timeouts, kStalls);
  EXPECT_GE(origin_gets(), chunks() + kStalls);
  EXPECT_EQ(origin().errors, 0u);
}

TEST_F(TieredOriginFaultTest, AnOriginThatNeverAnswersFailsClosedAtTheDeadline) {
  server_->set_chaos({.hold = true, .only = {S3Operation::kGet}});
  PageServerOptions options;
  options.session.fetch_timeout_ms = 300;
  expect_fails_closed(*snapshot_, ErrorCode::kUnavailable, {"cannot get s3://"}, options);
  EXPECT_GT(store_->counters().deadlines_passed, 0u);
  EXPECT_EQ(origin().chunks, 0u);
}

TEST_F(TieredOriginFaultTest, EverythingAtOnceIsRetried) {
  server_->set_chaos({.seed = 3,
                      .error_rate = 0.1,
                      .throttle_rate = 0.1,
                      .reset_rate = 0.1,
                      .garbage_rate = 0.05,
                      .cut_rate = 0.1,
                      .truncate_rate = 0.1,
                      .only = {S3Operation::kGet}});
  SCOPED_TRACE(server_->describe());
  expect_restored(*snapshot_);
  EXPECT_GT(store_->counters().retries, chunks() / 10);
  uint64_t faults = 0;
  for (const S3Fault fault : {S3Fault::kError, S3Fault::kThrottle, S3Fault::kReset,
                              S3Fault::kGarbage, S3Fault::kCut, S3Fault::kTruncate}) {
    EXPECT_GT(faults_met(fault), 0u) << to_string(fault);
    faults += faults_met(fault);
  }
  EXPECT_EQ(origin_gets(), chunks() + faults);
}

TEST_F(TieredOriginFaultTest, AnObjectOfAnotherLengthIsRefetched) {
  expect_refetched({.wrong_length_rate = 1}, S3Fault::kWrongLength);
}

TEST_F(TieredOriginFaultTest, ACorruptBodyIsRefetched) {
  expect_refetched({.corrupt_rate = 1}, S3Fault::kCorrupt);
}

TEST_F(TieredOriginFaultTest, AStaleBodyIsRefetched) {
  expect_refetched({.stale_rate = 1}, S3Fault::kStale);
}

TEST_F(TieredOriginFaultTest, AnObjectThatStaysCorruptFailsClosedByName) {
  Bytes bytes = object(7);
  bytes[bytes.size() / 2] ^= std::byte{1};
  replace_object(7, bytes);
  expect_fails_closed(
      *snapshot_, ErrorCode::kCorrupt,
      {snapshot_->fixture.chunk_key_of(7), "does not have the content of its name"});
  EXPECT_EQ(origin().corrupt, 2u);
  EXPECT_EQ(server_->gets_of(snapshot_->fixture.chunk_key_of(7)), 2u);
}

TEST_F(TieredOriginFaultTest, EveryAnswerCorruptFailsClosed) {
  server_->set_chaos({.corrupt_rate = 1, .only = {S3Operation::kGet}});
  expect_fails_closed(*snapshot_, ErrorCode::kCorrupt, {"does not have the content of its name"});
  EXPECT_EQ(origin().chunks, 0u);
  EXPECT_GE(faults_met(S3Fault::kCorrupt), 2u);
}

TEST_F(TieredOriginFaultTest, AnotherObjectsBytesFailClosedByName) {
  uint32_t other = 8;
  while (snapshot_->chunk(other).pages != snapshot_->chunk(7).pages) ++other;
  replace_object(7, object(other));
  expect_fails_closed(
      *snapshot_, ErrorCode::kCorrupt,
      {snapshot_->fixture.chunk_key_of(7), "does not have the content of its name"});
  EXPECT_EQ(origin().corrupt, 2u);
}

TEST_F(TieredOriginFaultTest, AnObjectOfTheWrongLengthFailsClosedByName) {
  Bytes bytes = object(3);
  bytes.resize(bytes.size() - 1);
  replace_object(3, bytes);
  expect_fails_closed(*snapshot_, ErrorCode::kCorrupt, {snapshot_->fixture.chunk_key_of(3)});
}

TEST_F(TieredOriginFaultTest, AMissingObjectFailsClosedByName) {
  server_->remove_object(s3_.bucket, snapshot_->fixture.chunk_key_of(3));
  expect_fails_closed(*snapshot_, ErrorCode::kCorrupt, {snapshot_->fixture.chunk_key_of(3)});
  EXPECT_EQ(server_->counts().statuses[404], 1u);
}

TEST_F(TieredOriginFaultTest, AForbiddenReadReachesTheSessionsError) {
  server_->set_chaos({.forbid_rate = 1, .only = {S3Operation::kGet}});
  expect_fails_closed(*snapshot_, ErrorCode::kDenied, {"AccessDenied", "policy"});
  EXPECT_GT(faults_met(S3Fault::kForbid), 0u);
  EXPECT_EQ(store_->counters().retries, 0u);
}

TEST_F(TieredOriginFaultTest, AClockThatIsOffIsNamed) {
  server_->set_clock_offset(std::chrono::hours(-2));
  expect_fails_closed(*snapshot_, ErrorCode::kDenied, {"clock is", "ahead of the server's"});
  EXPECT_GT(server_->counts().statuses[403], 0u);
  EXPECT_EQ(origin().chunks, 0u);
}

TEST_F(TieredOriginFaultTest, AMissingBucketIsNamed) {
  s3_.bucket = "none-such";
  reopen();
  expect_fails_closed(*snapshot_, ErrorCode::kInvalid,
                      {"bucket \"none-such\" does not exist", "create it or check the name"});
  EXPECT_GT(server_->counts().statuses[404], 0u);
}

TEST_F(TieredOriginFaultTest, AnOriginThatFailsForGoodFailsClosedWithItsLastAnswer) {
  server_->set_chaos({.error_rate = 1, .only = {S3Operation::kGet}});
  s3_.attempts_max = 3;
  reopen();
  expect_fails_closed(*snapshot_, ErrorCode::kUnavailable, {"InternalError"});
  EXPECT_GE(faults_met(S3Fault::kError), 3u);
}

/// An origin whose name nobody knows, as when the network or its DNS is gone.
class TieredOriginGoneTest : public TieredZoneTest {
 protected:
  void SetUp() override {
    TieredZoneTest::SetUp();
    if (IsSkipped()) return;
    snapshot_ = freeze();
  }
  void lose_origin() {
    s3_.endpoint = "http://nothing.invalid:9000";
    s3_.attempts_max = 2;
  }
  void expect_resumes_without_origin(const TierOptions& options) {
    open_tiers(options);
    if (options.zone) wait_for_nodes(options.zone->nodes.size());
    expect_restored(*snapshot_);
    EXPECT_EQ(stack_->origin().counters().requests, 0u);
    EXPECT_EQ(origin_gets(), 0u);
  }

  std::unique_ptr<TieredSnapshot> snapshot_;
};

TEST_F(TieredOriginGoneTest, WithEmptyCachesARestoreFailsClosedAndSaysWhy) {
  lose_origin();
  open_tiers(with_local());
  expect_fails_closed(*snapshot_, ErrorCode::kUnavailable, {"nothing.invalid", "host is unknown"});
  EXPECT_GT(stack_->origin().counters().errors, 0u);
}

TEST_F(TieredOriginGoneTest, AnOutageInTheMiddleFailsClosedAndWhatCameIsNotAskedForAgain) {
  const uint64_t came = snapshot_->chunk_count() / 2;
  s3_.attempts_max = 2;
  open_tiers(with_local());
  turnstile_->close_after(came);
  const Restored restored = restore(*snapshot_, [&] {
    EXPECT_TRUE(wait_until(
        [&] { return turnstile_->held() > 0 && stack_->origin().counters().chunks == came; }));
    server_->set_chaos({.throttle_rate = 1});
    turnstile_->open();
  });
  EXPECT_TRUE(restored.vmm.signal == SIGKILL || restored.vmm.signal == SIGBUS)
      << restored.vmm.describe();
  ASSERT_FALSE(restored.outcome);
  EXPECT_EQ(restored.outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(restored.outcome.error().message, testing::HasSubstr("SlowDown"));
  EXPECT_GT(faults_met(S3Fault::kThrottle), 0u);
  stack_->finish_fills();

  server_->set_chaos({});
  count_anew();
  expect_restored(*snapshot_);
  EXPECT_EQ(stack_->local()->counters().hits, came);
  EXPECT_EQ(origin_gets(), snapshot_->chunk_count() - came);
}

TEST_F(TieredOriginGoneTest, AWarmLocalTierResumes) {
  warm(*snapshot_, with_local());
  lose_origin();
  expect_resumes_without_origin(with_local());
  EXPECT_EQ(stack_->local()->counters().hits, snapshot_->chunk_count());
}

TEST_F(TieredOriginGoneTest, AWarmZoneResumes) {
  ASSERT_NO_FATAL_FAILURE(start_zone(5));
  warm(*snapshot_, with_zone());
  lose_origin();
  expect_resumes_without_origin(with_zone());
  EXPECT_EQ(stack_->zone()->counters().hits, snapshot_->chunk_count());
}

TEST_F(TieredOriginGoneTest, AWarmMemoryTierResumes) {
  TierOptions options = tiers();
  options.memory.bytes_max = kCacheBytes;
  open_tiers(options);
  expect_restored(*snapshot_);
  count_anew();
  server_->set_chaos({.reset_rate = 1});
  expect_restored(*snapshot_);
  EXPECT_EQ(origin_gets(), 0u);
}

TEST_F(TieredOriginGoneTest, DeniedBrokenAndMisnamedOriginsAreNotAskedForWhatIsCached) {
  warm(*snapshot_, with_local());
  server_->set_chaos({.forbid_rate = 1});
  expect_resumes_without_origin(with_local());
  server_->set_chaos({.error_rate = 1});
  expect_resumes_without_origin(with_local());
  server_->set_chaos({});
  s3_.bucket = "none-such";
  expect_resumes_without_origin(with_local());
}

TEST_F(TieredOriginGoneTest, ALocalTierWithAHoleFailsClosedOnlyThere) {
  warm(*snapshot_, with_local());
  {
    auto cache = DiskCache::open(with_local().local->cache);
    ASSERT_TRUE(cache) << cache.error().message;
    (*cache)->drop(snapshot_->chunk(11).id);
  }
  lose_origin();
  open_tiers(with_local());
  expect_fails_closed(*snapshot_, ErrorCode::kUnavailable,
                      {"nothing.invalid", snapshot_->fixture.chunk_key_of(11)});
  EXPECT_EQ(stack_->origin().counters().requests, 1u);
}

}  // namespace
}  // namespace thaw
