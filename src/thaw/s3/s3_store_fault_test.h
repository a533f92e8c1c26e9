// SPDX-License-Identifier: Apache-2.0
//
// A store at a strict server that goes wrong on demand: what the tests of S3Store's faults share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "thaw/s3/s3_store.h"
#include "thaw/s3/served_store_test.h"
#include "thaw/testing/object_store_conformance.h"

namespace thaw {

class S3StoreFaultTest : public testing::Test {
 protected:
  S3StoreFaultTest() : server_(start_server()), options_(options_for(*server_)) {
    // Short waits; no test waits for a deadline that it does not ask for.
    options_.backoff_base_ms = 1;
    options_.backoff_cap_ms = 4;
    options_.hedge_percentile = 0;
  }
  void TearDown() override {
    store_.reset();
    EXPECT_THAT(server_->violations(), testing::IsEmpty());
  }

  S3Store& store() {
    if (!store_) store_ = open_store(options_, server_->options().account);
    return *store_;
  }
  const S3Counters& counters() { return store().counters(); }
  /// Puts an object around the protocol and returns its bytes.
  Bytes object(const std::string& key, size_t size = 50'000) {
    Bytes bytes = sample_bytes(std::hash<std::string>()(key), size);
    server_->set_object(options_.bucket, key, bytes);
    return bytes;
  }
  void expect_object(const std::string& key, const Bytes& bytes) {
    const auto stored = server_->object(options_.bucket, key);
    ASSERT_TRUE(stored) << key;
    EXPECT_EQ(*stored, bytes) << key;
  }
  Result<PutOutcome> put(const std::string& key, const Bytes& bytes) {
    const PutRequest request{key, bytes};
    ASSIGN_OR_RETURN(const auto outcomes, store().put_if_absent({&request, 1}));
    return outcomes.at(0);
  }
  template <typename R>
  static void expect_error(const R& result, ErrorCode code, const std::string& text) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_THAT(result.error().message, testing::HasSubstr(text));
    EXPECT_THAT(result.error().message, testing::Not(testing::HasSubstr("thaw/secret+key")));
  }

  std::unique_ptr<S3Server> server_;
  S3Options options_;
  std::unique_ptr<S3Store> store_;
};

}  // namespace thaw
