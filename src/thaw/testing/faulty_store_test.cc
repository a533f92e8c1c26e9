// SPDX-License-Identifier: Apache-2.0
//
// The harness has to bite: each kind of fault occurs, is counted, and is the same for the same
// seed.
#include "thaw/testing/faulty_store.h"

#include <gtest/gtest.h>

#include "thaw/testing/memory_store.h"
#include "thaw/testing/object_store_conformance.h"

namespace thaw {
namespace {

/// Without a plan it is the store below it.
class Transparent {
 public:
  static std::string unavailable() { return ""; }
  ObjectStore& store() { return store_; }

 private:
  MemoryStore inner_;
  FaultyStore store_{inner_};
};
INSTANTIATE_TYPED_TEST_SUITE_P(FaultyStoreWithoutFaults, ObjectStoreConformance, Transparent);

class FaultyStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    for (uint64_t i = 0; i < 4; ++i) {
      contents_.push_back(sample_bytes(i, 500));
      keys_.push_back("k" + std::to_string(i));
    }
    std::vector<PutRequest> group;
    for (size_t i = 0; i < keys_.size(); ++i) group.push_back({keys_[i], contents_[i]});
    ASSERT_TRUE(inner_.put_if_absent(group));
  }
  /// What 200 reads do: the bytes of each, or its error.
  std::vector<std::string> history(const FaultPlan& plan) {
    FaultyStore store(inner_, plan);
    std::vector<std::string> events;
    for (size_t i = 0; i < 200; ++i) {
      const Result<Bytes> bytes = store.get(keys_[i % keys_.size()], 1000);
      events.push_back(bytes ? to_hex(*bytes) : bytes.error().message);
    }
    return events;
  }

  MemoryStore inner_;
  std::vector<Bytes> contents_;
  std::vector<std::string> keys_;
};

TEST_F(FaultyStoreTest, TheSeedDecides) {
  const FaultPlan plan{.seed = 7, .error_rate = 0.2, .truncate_rate = 0.2, .flip_rate = 0.2};
  FaultPlan other = plan;
  other.seed = 8;
  EXPECT_EQ(history(plan), history(plan));
  EXPECT_NE(history(plan), history(other));
}

TEST_F(FaultyStoreTest, ErrorsCarryTheCodeTheKeyAndTheSeed) {
  FaultyStore store(inner_, {.seed = 42, .error_rate = 1, .error = ErrorCode::kExhausted});
  const Bytes data(1);
  const PutRequest request{"k9", data};
  const auto put = store.put_if_absent({&request, 1});
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kExhausted);
  EXPECT_NE(put.error().message.find("k9"), std::string::npos);
  EXPECT_NE(put.error().message.find("seed 42"), std::string::npos);
  EXPECT_NE(store.describe().find("seed 42"), std::string::npos);
  EXPECT_FALSE(*inner_.exists("k9"));
  EXPECT_FALSE(store.get("k1", 1000));
  EXPECT_FALSE(store.exists("k1"));
  EXPECT_FALSE(store.remove("k1"));
  EXPECT_FALSE(store.replace("k1", data));
  EXPECT_FALSE(list_all(store));
  EXPECT_EQ(*inner_.get("k1", 1000), contents_[1]);
  EXPECT_EQ(store.counts().errors, 6u);
  EXPECT_EQ(store.counts().total_calls(), 6u);
  EXPECT_EQ(store.counts().of(StoreOperation::kGet), 1u);
}

TEST_F(FaultyStoreTest, CorruptionsCorruptAndAreCounted) {
  const auto corrupted_reads = [&](const FaultPlan& plan, auto&& is_expected) {
    FaultyStore store(inner_, plan);
    uint64_t corrupted = 0;
    for (size_t i = 0; i < 100; ++i) {
      const Bytes bytes = *store.get(keys_[i % 4], 1000);
      if (bytes == contents_[i % 4]) continue;
      ++corrupted;
      EXPECT_TRUE(is_expected(bytes, contents_[i % 4])) << plan.describe();
    }
    EXPECT_EQ(store.counts().corruptions, corrupted);
    EXPECT_GT(corrupted, 20u);
    EXPECT_LT(corrupted, 80u);
  };
  corrupted_reads({.truncate_rate = 0.5}, [](const Bytes& is, const Bytes& was) {
    return is.size() < was.size() && std::equal(is.begin(), is.end(), was.begin());
  });
  corrupted_reads({.flip_rate = 0.5}, [](const Bytes& is, const Bytes& was) {
    int bits = 0;
    for (size_t i = 0; i < was.size(); ++i) {
      bits += __builtin_popcount(std::to_integer<unsigned>(is[i] ^ was[i]));
    }
    return is.size() == was.size() && bits == 1;
  });
  corrupted_reads({.swap_rate = 0.5}, [&](const Bytes& is, const Bytes&) {
    return std::find(contents_.begin(), contents_.end(), is) != contents_.end();
  });
}

TEST_F(FaultyStoreTest, GetIntoIsCorruptedToo) {
  FaultyStore store(inner_);
  Bytes out(500);
  store.set_plan({.truncate_rate = 1});
  EXPECT_EQ(store.get_into("k1", out).error().code, ErrorCode::kCorrupt);
  store.set_plan({.flip_rate = 1});
  ASSERT_TRUE(store.get_into("k1", out));
  EXPECT_NE(out, contents_[1]);
  store.set_plan({.swap_rate = 1});
  ASSERT_TRUE(store.get_into("k1", out));
  EXPECT_NE(out, contents_[1]);
  store.set_plan({});
  ASSERT_TRUE(store.get_into("k1", out));
  EXPECT_EQ(out, contents_[1]);
  EXPECT_EQ(store.counts().corruptions, 3u);
}

TEST_F(FaultyStoreTest, TheNthCallFails) {
  FaultyStore store(inner_, {.fail_nth = 2});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(store.exists("k1").has_value(), i != 2) << i;
  store.set_plan({.fail_nth = 2, .fail_from_then_on = true});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(store.exists("k1").has_value(), i < 2) << i;
  store.set_plan({});
  EXPECT_TRUE(store.exists("k1"));
}

TEST_F(FaultyStoreTest, OnlyTheChosenOperationsFail) {
  FaultyStore store(inner_, {.error_rate = 1, .only = {StoreOperation::kGet}});
  EXPECT_TRUE(store.exists("k1"));
  EXPECT_TRUE(list_all(store));
  EXPECT_FALSE(store.get("k1", 1000));
}

TEST_F(FaultyStoreTest, ALostAnswerTookEffect) {
  FaultyStore store(inner_, {.lost_answer_rate = 1});
  const Bytes data = sample_bytes(9, 10);
  const PutRequest request{"new", data};
  EXPECT_FALSE(store.put_if_absent({&request, 1}));
  EXPECT_EQ(*inner_.get("new", 100), data);
  EXPECT_FALSE(store.replace("new", as_bytes("x")));
  EXPECT_EQ(as_text(*inner_.get("new", 100)), "x");
  EXPECT_TRUE(store.get("new", 100));
}

TEST_F(FaultyStoreTest, APartialPutTookSomeEffect) {
  const Bytes data = sample_bytes(9, 10);
  size_t least = 100;
  size_t most = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    MemoryStore inner;
    FaultyStore store(inner, {.seed = seed, .partial_put_rate = 1});
    const std::vector<PutRequest> group = {{"a", data}, {"b", data}, {"c", data}};
    EXPECT_FALSE(store.put_if_absent(group)) << store.describe();
    least = std::min(least, list_all(inner)->size());
    most = std::max(most, list_all(inner)->size());
  }
  EXPECT_EQ(least, 0u);
  EXPECT_EQ(most, 2u);
}

TEST_F(FaultyStoreTest, DelaysDelay) {
  FaultyStore store(inner_, {.delay_rate = 1, .delay_max = std::chrono::milliseconds(2)});
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(store.exists("k1"));
  // 20 delays of 1 ms on average; far fewer would mean they are not taken.
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(5));
  EXPECT_EQ(store.counts().delays, 20u);
}

}  // namespace
}  // namespace thaw
