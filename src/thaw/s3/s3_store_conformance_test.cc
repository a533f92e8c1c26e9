// SPDX-License-Identifier: Apache-2.0
//
// S3Store does what any store has to do, over the strict server in its ways of addressing, and over
// one that fails often enough for retries and hedges to be on every path.
#include "thaw/s3/s3_store.h"
#include "thaw/s3/served_store_test.h"
#include "thaw/testing/object_store_conformance.h"

namespace thaw {
namespace {

/// A server and a store of it for each test.
class Served {
 public:
  static std::string unavailable() { return ""; }
  ~Served() {
    store_.reset();
    for (const std::string& violation : server_->violations()) ADD_FAILURE() << violation;
  }
  ObjectStore& store() { return *store_; }

 protected:
  Served() : server_(start_server()) {}
  void open(const S3Options& options) { store_ = open_store(options, server_->options().account); }

  std::unique_ptr<S3Server> server_;
  std::unique_ptr<S3Store> store_;
};

class PathStyle : public Served {
 public:
  PathStyle() { open(options_for(*server_)); }
};

class VirtualHost : public Served {
 public:
  VirtualHost() {
    S3Options options = options_for(*server_);
    options.endpoint = "http://localhost:" + std::to_string(server_->port());
    options.addressing = S3Addressing::kVirtualHost;
    open(options);
  }
};

/// Below a prefix, beside what is not the store's, three keys a page.
class PrefixAndSmallPages : public Served {
 public:
  PrefixAndSmallPages() {
    S3Options options = options_for(*server_);
    options.prefix = "fleet/a-1";
    options.list_page_keys = 3;
    for (const std::string key :
         {"fleet/a", "fleet/a-1", "fleet/a-1/", "fleet/a-10/x", "zzz", "fleet/a-1/.hidden",
          "fleet/a-1/sp ace", "fleet/a-1//y", "fleet/a-1/\xc3\xa4"}) {
      server_->set_object(options.bucket, key, sample_bytes(1, 3));
    }
    open(options);
  }
};

using Backends = testing::Types<PathStyle, VirtualHost, PrefixAndSmallPages>;

class BackendNames {
 public:
  template <typename T>
  static std::string GetName(int) {
    if (std::is_same_v<T, PathStyle>) return "PathStyle";
    if (std::is_same_v<T, VirtualHost>) return "VirtualHost";
    return "PrefixAndSmallPages";
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(S3, ObjectStoreConformance, Backends, BackendNames);

}  // namespace
}  // namespace thaw
