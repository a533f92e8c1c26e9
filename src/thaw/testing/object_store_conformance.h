// SPDX-License-Identifier: Apache-2.0
//
// What any ObjectStore has to do, as a gtest suite. A backend is a type with
//   static std::string unavailable();   why it cannot run here; empty if it can
//   ObjectStore& store();               an empty store, one for each object of the type
// and joins with INSTANTIATE_TYPED_TEST_SUITE_P(Name, ObjectStoreConformance, Backends).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "thaw/base/units.h"
#include "thaw/store/object_store.h"

namespace thaw {

/// Bytes that follow from `seed` and look random, so that no two objects agree anywhere for long.
inline Bytes sample_bytes(uint64_t seed, size_t size) {
  Bytes bytes(size);
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (std::byte& b : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    b = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

/// Every key and size below `prefix`, in the order of the listing.
inline Result<std::vector<std::pair<std::string, uint64_t>>> list_all(
    const ObjectStore& store, const std::string& prefix = "") {
  std::vector<std::pair<std::string, uint64_t>> found;
  TRY(store.list(prefix, [&](const std::string& key, uint64_t bytes) -> Result<void> {
    found.emplace_back(key, bytes);
    return {};
  }));
  return found;
}

template <typename Backend>
class ObjectStoreConformance : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = Backend::unavailable();
    if (!reason.empty()) GTEST_SKIP() << reason;
    backend_ = std::make_unique<Backend>();
  }
  ObjectStore& store() { return backend_->store(); }

  PutOutcome put(const std::string& key, ByteSpan data) {
    const PutRequest request{key, data};
    const auto outcomes = store().put_if_absent({&request, 1});
    EXPECT_TRUE(outcomes) << outcomes.error().message;
    return outcomes ? outcomes->at(0) : PutOutcome::kExisted;
  }
  Bytes get(const std::string& key) {
    const Result<Bytes> bytes = store().get(key, 64 * kMiB);
    EXPECT_TRUE(bytes) << bytes.error().message;
    return bytes ? *bytes : Bytes();
  }
  std::vector<std::string> keys(const std::string& prefix = "") {
    const auto found = list_all(store(), prefix);
    EXPECT_TRUE(found) << found.error().message;
    std::vector<std::string> names;
    if (found) {
      for (const auto& [key, bytes] : *found) names.push_back(key);
    }
    return names;
  }
  template <typename R>
  static ErrorCode code_of(const R& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::kInterrupted : result.error().code;
  }

  std::unique_ptr<Backend> backend_;
};

TYPED_TEST_SUITE_P(ObjectStoreConformance);

TYPED_TEST_P(ObjectStoreConformance, PutThenGet) {
  const Bytes data = sample_bytes(1, 1000);
  EXPECT_EQ(this->put("a/b/c", data), PutOutcome::kCreated);
  EXPECT_EQ(this->get("a/b/c"), data);
  EXPECT_TRUE(*this->store().exists("a/b/c"));
  EXPECT_FALSE(this->store().describe().empty());
}

TYPED_TEST_P(ObjectStoreConformance, TheFirstPutStays) {
  const Bytes first = sample_bytes(1, 100);
  EXPECT_EQ(this->put("k", first), PutOutcome::kCreated);
  EXPECT_EQ(this->put("k", sample_bytes(2, 200)), PutOutcome::kExisted);
  EXPECT_EQ(this->put("k", first), PutOutcome::kExisted);
  EXPECT_EQ(this->get("k"), first);
}

TYPED_TEST_P(ObjectStoreConformance, AGroupHasMixedOutcomes) {
  const Bytes old = sample_bytes(0, 10);
  this->put("dir/old", old);
  const Bytes one = sample_bytes(1, 4096);
  const Bytes two = sample_bytes(2, 5000);
  const std::vector<PutRequest> group = {{"dir/one", one}, {"dir/old", two}, {"else/two", two}};
  const auto outcomes = this->store().put_if_absent(group);
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  EXPECT_EQ(*outcomes,
            (std::vector{PutOutcome::kCreated, PutOutcome::kExisted, PutOutcome::kCreated}));
  EXPECT_EQ(this->get("dir/one"), one);
  EXPECT_EQ(this->get("dir/old"), old);
  EXPECT_EQ(this->get("else/two"), two);
}

TYPED_TEST_P(ObjectStoreConformance, AKeyTwiceInAGroupIsCreatedOnce) {
  const Bytes data = sample_bytes(1, 3000);
  const std::vector<PutRequest> group = {{"x", data}, {"y", data}, {"x", data}, {"x", data}};
  const auto outcomes = this->store().put_if_absent(group);
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  EXPECT_EQ(std::count(outcomes->begin(), outcomes->end(), PutOutcome::kCreated), 2);
  EXPECT_EQ((*outcomes)[1], PutOutcome::kCreated);
  EXPECT_EQ(this->get("x"), data);
}

TYPED_TEST_P(ObjectStoreConformance, AnEmptyGroupIsNothing) {
  const auto outcomes = this->store().put_if_absent({});
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  EXPECT_TRUE(outcomes->empty());
  EXPECT_TRUE(this->keys().empty());
}

TYPED_TEST_P(ObjectStoreConformance, AGroupLargerThanAnyInnerLimit) {
  std::vector<std::string> names;
  std::vector<Bytes> contents;
  for (size_t i = 0; i < 200; ++i) {
    names.push_back("many/" + std::to_string(i % 7) + "/" + std::to_string(1000 + i));
    contents.push_back(sample_bytes(i, i * 10));
  }
  std::vector<PutRequest> group;
  for (size_t i = 0; i < names.size(); ++i) group.push_back({names[i], contents[i]});
  this->put(names[150], contents[150]);
  const auto outcomes = this->store().put_if_absent(group);
  ASSERT_TRUE(outcomes) << outcomes.error().message;
  ASSERT_EQ(outcomes->size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ((*outcomes)[i], i == 150 ? PutOutcome::kExisted : PutOutcome::kCreated) << i;
    EXPECT_EQ(this->get(names[i]), contents[i]) << i;
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(this->keys("many/"), names);
}

TYPED_TEST_P(ObjectStoreConformance, EmptyAndLargeObjects) {
  const Bytes large = sample_bytes(4, 4 * kMiB);
  EXPECT_EQ(this->put("empty", {}), PutOutcome::kCreated);
  EXPECT_EQ(this->put("large", large), PutOutcome::kCreated);
  EXPECT_TRUE(*this->store().exists("empty"));
  EXPECT_TRUE(this->get("empty").empty());
  EXPECT_TRUE(this->store().get_into("empty", {}));
  EXPECT_EQ(this->get("large"), large);
  EXPECT_EQ(this->put("empty", large), PutOutcome::kExisted);
}

TYPED_TEST_P(ObjectStoreConformance, GetLimits) {
  const Bytes data = sample_bytes(1, 1000);
  this->put("k", data);
  EXPECT_EQ(*this->store().get("k", 1000), data);
  const auto small = this->store().get("k", 999);
  EXPECT_EQ(this->code_of(small), ErrorCode::kExhausted);
  EXPECT_NE(small.error().message.find("k"), std::string::npos);
}

TYPED_TEST_P(ObjectStoreConformance, GetIntoNeedsTheExactSize) {
  const Bytes data = sample_bytes(1, 1000);
  this->put("the-key", data);
  Bytes out(1000);
  ASSERT_TRUE(this->store().get_into("the-key", out));
  EXPECT_EQ(out, data);
  for (const size_t size : {size_t{0}, size_t{999}, size_t{1001}}) {
    Bytes wrong(size);
    const auto read = this->store().get_into("the-key", wrong);
    EXPECT_EQ(this->code_of(read), ErrorCode::kCorrupt) << size;
    EXPECT_NE(read.error().message.find("the-key"), std::string::npos);
  }
}

TYPED_TEST_P(ObjectStoreConformance, GetRange) {
  const Bytes data = sample_bytes(1, 10'000);
  this->put("the-key", data);
  for (const auto& [offset, size] : std::vector<std::pair<size_t, size_t>>{
           {0, 1}, {0, 10'000}, {1, 4096}, {4096, 4096}, {9'999, 1}, {10'000, 0}, {5, 0}}) {
    Bytes out(size);
    const auto read = this->store().get_range("the-key", offset, out);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(std::equal(out.begin(), out.end(), data.begin() + static_cast<ptrdiff_t>(offset)))
        << offset << " " << size;
  }
  for (const auto& [offset, size] : std::vector<std::pair<size_t, size_t>>{
           {0, 10'001}, {9'999, 2}, {10'000, 1}, {10'001, 0}, {1'000'000, 10}}) {
    Bytes out(size);
    const auto read = this->store().get_range("the-key", offset, out);
    EXPECT_EQ(this->code_of(read), ErrorCode::kCorrupt) << offset << " " << size;
    EXPECT_NE(read.error().message.find("the-key"), std::string::npos);
  }
  Bytes out(1);
  EXPECT_EQ(this->code_of(this->store().get_range("missing", 0, out)), ErrorCode::kNotFound);
}

TYPED_TEST_P(ObjectStoreConformance, StartGetCallsDoneOnce) {
  constexpr size_t kObjects = 50;
  for (size_t i = 0; i < kObjects; ++i) {
    this->put("o/" + std::to_string(i), sample_bytes(i, 1000 + i));
  }
  std::vector<Bytes> out;
  for (size_t i = 0; i < kObjects; ++i) out.emplace_back(1000 + i);
  Bytes other(1000);
  std::vector<std::atomic<int>> calls(kObjects + 2);
  std::latch arrived(kObjects + 2);
  const Deadline deadline = deadline_in(std::chrono::minutes(1));
  for (size_t i = 0; i < kObjects; ++i) {
    this->store().start_get("o/" + std::to_string(i), out[i], deadline, [&, i](Result<void> got) {
      EXPECT_TRUE(got) << got.error().message;
      ++calls[i];
      arrived.count_down();
    });
  }
  this->store().start_get("o/missing", other, deadline, [&](Result<void> got) {
    EXPECT_EQ(this->code_of(got), ErrorCode::kNotFound);
    ++calls[kObjects];
    arrived.count_down();
  });
  this->store().start_get("o//bad", other, deadline, [&](Result<void> got) {
    EXPECT_EQ(this->code_of(got), ErrorCode::kInvalid);
    ++calls[kObjects + 1];
    arrived.count_down();
  });
  arrived.wait();
  for (size_t i = 0; i < kObjects; ++i) EXPECT_EQ(out[i], sample_bytes(i, 1000 + i)) << i;
  for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
}

TYPED_TEST_P(ObjectStoreConformance, RemoveAll) {
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) {
    keys.push_back("d/" + std::to_string(i));
    this->put(keys.back(), sample_bytes(static_cast<uint64_t>(i), 10));
  }
  this->put("d/kept", sample_bytes(1, 1));
  keys.push_back("d/missing");
  EXPECT_TRUE(this->store().remove_all(keys));
  EXPECT_EQ(this->keys("d/"), (std::vector<std::string>{"d/kept"}));
  EXPECT_TRUE(this->store().remove_all({}));
  const std::vector<std::string> bad = {"d//x"};
  EXPECT_EQ(this->code_of(this->store().remove_all(bad)), ErrorCode::kInvalid);
}

TYPED_TEST_P(ObjectStoreConformance, WhatIsMissingIsNotFound) {
  this->put("dir/there", sample_bytes(1, 1));
  Bytes out(1);
  for (const std::string key : {"missing", "dir/missing", "none/such/key", "dir/there/below"}) {
    const auto bytes = this->store().get(key, 100);
    EXPECT_EQ(this->code_of(bytes), ErrorCode::kNotFound) << key;
    EXPECT_NE(bytes.error().message.find(key), std::string::npos) << bytes.error().message;
    EXPECT_EQ(this->code_of(this->store().get_into(key, out)), ErrorCode::kNotFound) << key;
    const auto exists = this->store().exists(key);
    ASSERT_TRUE(exists) << exists.error().message;
    EXPECT_FALSE(*exists) << key;
    EXPECT_TRUE(this->store().remove(key)) << key;
  }
}

TYPED_TEST_P(ObjectStoreConformance, RemoveTwice) {
  this->put("a/k", sample_bytes(1, 10));
  this->put("a/l", sample_bytes(2, 10));
  EXPECT_TRUE(this->store().remove("a/k"));
  EXPECT_FALSE(*this->store().exists("a/k"));
  EXPECT_TRUE(this->store().remove("a/k"));
  EXPECT_EQ(this->keys(), (std::vector<std::string>{"a/l"}));
  EXPECT_EQ(this->put("a/k", sample_bytes(3, 10)), PutOutcome::kCreated);
  EXPECT_EQ(this->get("a/k"), sample_bytes(3, 10));
}

TYPED_TEST_P(ObjectStoreConformance, InvalidKeysAreRefusedEverywhere) {
  Bytes out(1);
  for (const std::string& key :
       {std::string(), std::string("/"), std::string("/a"), std::string("a/"), std::string("a//b"),
        std::string("."), std::string(".."), std::string("a/../b"), std::string(".hidden"),
        std::string("a/.b"), std::string("a b"), std::string("a\0b", 3), std::string("a\n"),
        std::string("\xff"), std::string("a\\b"), std::string(513, 'k'), std::string(4096, 'k')}) {
    const Bytes data = sample_bytes(1, 1);
    const std::vector<PutRequest> group = {{"good", data}, {key, data}};
    EXPECT_EQ(this->code_of(this->store().put_if_absent(group)), ErrorCode::kInvalid);
    EXPECT_EQ(this->code_of(this->store().replace(key, data)), ErrorCode::kInvalid);
    EXPECT_EQ(this->code_of(this->store().get(key, 1)), ErrorCode::kInvalid);
    EXPECT_EQ(this->code_of(this->store().get_into(key, out)), ErrorCode::kInvalid);
    EXPECT_EQ(this->code_of(this->store().exists(key)), ErrorCode::kInvalid);
    EXPECT_EQ(this->code_of(this->store().remove(key)), ErrorCode::kInvalid);
  }
  for (const std::string prefix : {"a", "/", "a//", "../", "a/b", ".x/"}) {
    EXPECT_EQ(this->code_of(list_all(this->store(), prefix)), ErrorCode::kInvalid) << prefix;
  }
  EXPECT_TRUE(this->keys().empty());
}

TYPED_TEST_P(ObjectStoreConformance, EveryKeyCharacterWorks) {
  const std::string key = "ABCXYZ/abcxyz/0189/a._:@+-";
  const std::string long_key =
      std::string(128, 'a') + "/" + std::string(128, 'b') + "/" + std::string(254, 'c');
  ASSERT_EQ(long_key.size(), 512u);
  for (const std::string& each : {key, long_key}) {
    EXPECT_EQ(this->put(each, as_bytes(each)), PutOutcome::kCreated);
    EXPECT_EQ(as_text(this->get(each)), each);
  }
  EXPECT_EQ(this->keys(), (std::vector<std::string>{key, long_key}));
}

TYPED_TEST_P(ObjectStoreConformance, ListIsInTheOrderOfWholeKeys) {
  // '+' ',' '-' '.' sort before '/', digits and letters after it.
  const std::vector<std::string> ascending = {"B/x",  "a+/x", "a-b/x", "a-c",   "a.b",
                                              "a/-",  "a/0",  "a/b-c", "a/b/c", "a/b/d",
                                              "a/b0", "a0",   "a:/x",  "ab"};
  ASSERT_TRUE(std::is_sorted(ascending.begin(), ascending.end()));
  for (size_t i = 0; i < ascending.size(); ++i) {
    const size_t at = (i * 5 + 3) % ascending.size();  // 5 and 14 have no common divisor
    this->put(ascending[at], sample_bytes(at, at));
  }
  const auto found = list_all(this->store());
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), ascending.size());
  for (size_t i = 0; i < ascending.size(); ++i) {
    EXPECT_EQ((*found)[i].first, ascending[i]);
    EXPECT_EQ((*found)[i].second, i);
  }
}

TYPED_TEST_P(ObjectStoreConformance, ListByPrefix) {
  for (const std::string key : {"a/b/c", "a/b/d", "a/bc", "ab/c", "b"}) this->put(key, {});
  EXPECT_EQ(this->keys("a/"), (std::vector<std::string>{"a/b/c", "a/b/d", "a/bc"}));
  EXPECT_EQ(this->keys("a/b/"), (std::vector<std::string>{"a/b/c", "a/b/d"}));
  EXPECT_TRUE(this->keys("b/").empty());
  EXPECT_TRUE(this->keys("none/").empty());
  EXPECT_EQ(this->keys().size(), 5u);
}

TYPED_TEST_P(ObjectStoreConformance, ListStopsWithTheVisitorsError) {
  for (const std::string key : {"a/1", "a/2", "b/1"}) this->put(key, {});
  int visits = 0;
  const auto listed = this->store().list("", [&](const std::string& key, uint64_t) -> Result<void> {
    ++visits;
    if (key == "a/2") return fail(ErrorCode::kInterrupted, "enough");
    return {};
  });
  EXPECT_EQ(this->code_of(listed), ErrorCode::kInterrupted);
  EXPECT_EQ(listed.error().message, "enough");
  EXPECT_EQ(visits, 2);
}

TYPED_TEST_P(ObjectStoreConformance, TheVisitorMayUseTheStore) {
  for (const std::string key : {"a/1", "a/2", "b/1"}) this->put(key, as_bytes(key));
  std::vector<std::string> seen;
  const auto listed =
      this->store().list("", [&](const std::string& key, uint64_t bytes) -> Result<void> {
        ASSIGN_OR_RETURN(const Bytes content, this->store().get(key, bytes));
        seen.emplace_back(as_text(content));
        return this->store().remove(key);
      });
  EXPECT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(seen, (std::vector<std::string>{"a/1", "a/2", "b/1"}));
  EXPECT_TRUE(this->keys().empty());
}

TYPED_TEST_P(ObjectStoreConformance, ReplaceMakesAndReplaces) {
  ASSERT_TRUE(this->store().replace("names/t/n", as_bytes("one")));
  EXPECT_EQ(as_text(this->get("names/t/n")), "one");
  ASSERT_TRUE(this->store().replace("names/t/n", as_bytes("a longer two")));
  EXPECT_EQ(as_text(this->get("names/t/n")), "a longer two");
  ASSERT_TRUE(this->store().replace("names/t/n", {}));
  EXPECT_TRUE(this->get("names/t/n").empty());
  EXPECT_EQ(this->put("names/t/n", as_bytes("put")), PutOutcome::kExisted);
}

TYPED_TEST_P(ObjectStoreConformance, ReadersSeeAWholeObjectDuringReplace) {
  // Both sizes, so that a torn object cannot look whole.
  const Bytes old_bytes = sample_bytes(1, 150'000);
  const Bytes new_bytes = sample_bytes(2, 90'000);
  ASSERT_TRUE(this->store().replace("k", old_bytes));
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::atomic<int> reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const Result<Bytes> seen = this->store().get("k", kMiB);
        if (!seen || (*seen != old_bytes && *seen != new_bytes)) ++torn;
        ++reads;
      }
    });
  }
  for (int i = 0; i < 50 || reads < 50; ++i) {
    EXPECT_TRUE(this->store().replace("k", i % 2 == 0 ? new_bytes : old_bytes));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

TYPED_TEST_P(ObjectStoreConformance, OfRacingPutsExactlyOneCreates) {
  constexpr size_t kThreads = 8;
  constexpr size_t kKeys = 24;
  std::vector<std::atomic<int>> created(kKeys);
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Each writer has other bytes for the same keys and another order.
      std::vector<Bytes> contents;
      for (size_t i = 0; i < kKeys; ++i) contents.push_back(sample_bytes(t, 1000 + 100 * t + i));
      for (size_t begin = 0; begin < kKeys; begin += 6) {
        std::vector<PutRequest> group;
        std::vector<size_t> which;
        for (size_t i = begin; i < begin + 6; ++i) {
          which.push_back((i * 5 + t * 7) % kKeys);
          group.push_back({"race/" + std::to_string(which.back()), contents[which.back()]});
        }
        const auto outcomes = this->store().put_if_absent(group);
        if (!outcomes) ++failed;
        for (size_t i = 0; outcomes && i < which.size(); ++i) {
          if ((*outcomes)[i] == PutOutcome::kCreated) ++created[which[i]];
          // Whoever made it, it is there and whole by now.
          if (!this->store().get("race/" + std::to_string(which[i]), kMiB)) ++failed;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  for (size_t i = 0; i < kKeys; ++i) {
    EXPECT_EQ(created[i], 1) << i;
    const Bytes content = this->get("race/" + std::to_string(i));
    bool whole = false;
    for (size_t t = 0; t < kThreads; ++t) whole |= content == sample_bytes(t, 1000 + 100 * t + i);
    EXPECT_TRUE(whole) << i;
  }
}

REGISTER_TYPED_TEST_SUITE_P(ObjectStoreConformance, PutThenGet, TheFirstPutStays,
                            AGroupHasMixedOutcomes, AKeyTwiceInAGroupIsCreatedOnce,
                            AnEmptyGroupIsNothing, AGroupLargerThanAnyInnerLimit,
                            EmptyAndLargeObjects, GetLimits, GetIntoNeedsTheExactSize, GetRange,
                            StartGetCallsDoneOnce, RemoveAll, WhatIsMissingIsNotFound, RemoveTwice,
                            InvalidKeysAreRefusedEverywhere, EveryKeyCharacterWorks,
                            ListIsInTheOrderOfWholeKeys, ListByPrefix,
                            ListStopsWithTheVisitorsError, TheVisitorMayUseTheStore,
                            ReplaceMakesAndReplaces, ReadersSeeAWholeObjectDuringReplace,
                            OfRacingPutsExactlyOneCreates);

}  // namespace thaw
