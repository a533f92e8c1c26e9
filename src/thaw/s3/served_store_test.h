// SPDX-License-Identifier: Apache-2.0
//
// A store and the strict server behind it, for the tests of this module.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/s3/s3_store.h"
#include "thaw/testing/s3_server.h"

namespace thaw {

/// Options that fit the server: its first bucket, by path.
inline S3Options options_for(const S3Server& server) {
  S3Options options;
  options.bucket = server.options().buckets.at(0);
  options.endpoint = server.endpoint();
  options.region = server.options().account.region;
  options.seed = 1;
  return options;
}

inline S3Credentials credentials_for(const S3Account& account) {
  auto credentials =
      S3Credentials::from_text(account.access_key, account.secret_key, "", "the test");
  CHECK(credentials.has_value());
  return std::move(*credentials);
}

inline std::unique_ptr<S3Store> open_store(const S3Options& options, const S3Account& account) {
  auto store = S3Store::create(options, credentials_for(account));
  if (!store) ADD_FAILURE() << store.error().message;
  CHECK(store.has_value());
  return std::move(*store);
}

inline std::unique_ptr<S3Server> start_server(S3ServerOptions options = {}) {
  auto server = S3Server::start(std::move(options));
  if (!server) ADD_FAILURE() << server.error().message;
  CHECK(server.has_value());
  return std::move(*server);
}

}  // namespace thaw
