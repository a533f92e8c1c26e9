// SPDX-License-Identifier: Apache-2.0
#include "thaw/store/catalog.h"

#include <gtest/gtest.h>

#include "thaw/testing/faulty_store.h"
#include "thaw/testing/memory_store.h"

namespace thaw {
namespace {

class CatalogTest : public testing::Test {
 protected:
  /// A manifest that is in the store. Its bytes do not matter here.
  NameTarget target(std::string_view content = "manifest", uint64_t root_id = 1) {
    const NameTarget made{root_id, manifest_id(as_bytes(content))};
    EXPECT_TRUE(catalog_.write_manifest(made, as_bytes(content)));
    return made;
  }
  void put_pointer(std::string_view text) {
    EXPECT_TRUE(store_.replace("names/acme/python", as_bytes(text)));
  }
  template <typename R>
  static Error error_of(const R& result) {
    EXPECT_FALSE(result);
    return result ? Error{ErrorCode::kInterrupted, ""} : result.error();
  }

  MemoryStore store_;
  Catalog catalog_{store_};
};

TEST_F(CatalogTest, Keys) {
  ChunkId chunk;
  chunk.digest.fill(std::byte{0xab});
  const std::string hex = chunk.hex();
  EXPECT_EQ(chunk_key(1, chunk), "0000000000000001/chunks/ab/" + hex);
  EXPECT_EQ(manifest_key(0xfedcba9876543210, ManifestId{chunk.digest}),
            "fedcba9876543210/manifests/" + hex);
  EXPECT_EQ(working_set_key(1, ManifestId{chunk.digest}), "0000000000000001/working_sets/" + hex);
  EXPECT_EQ(name_key("acme", "python"), "names/acme/python");
  EXPECT_TRUE(validate_key(name_key(std::string(128, 't'), std::string(128, 'n'))));
}

TEST_F(CatalogTest, NamesAreValidated) {
  for (const char* good : {"a", "py3.11:v2@eu+1-x_", "0"}) {
    EXPECT_TRUE(validate_name("snapshot name", good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"),
        std::string("a/b"), std::string("../../etc"), std::string("a b"), std::string("a\n"),
        std::string("\x1b[31m"), std::string("a\0b", 3), std::string("\xff\xfe"),
        std::string(129, 'n'), std::string(4096, 'n')}) {
    const Error error = error_of(validate_name("snapshot name", bad));
    EXPECT_EQ(error.code, ErrorCode::kInvalid);
    EXPECT_NE(error.message.find("snapshot name"), std::string::npos);
    EXPECT_LT(error.message.size(), 400u);
    for (const char c : error.message) EXPECT_TRUE(c >= ' ' && c <= '~') << error.message;

    EXPECT_EQ(error_of(catalog_.resolve("acme", bad)).code, ErrorCode::kInvalid);
    EXPECT_EQ(error_of(catalog_.resolve(bad, "python")).code, ErrorCode::kInvalid);
    EXPECT_EQ(error_of(catalog_.bind_new("acme", bad, {})).code, ErrorCode::kInvalid);
    EXPECT_EQ(error_of(catalog_.rebind(bad, "python", {})).code, ErrorCode::kInvalid);
    EXPECT_EQ(error_of(catalog_.unbind("acme", bad)).code, ErrorCode::kInvalid);
    EXPECT_EQ(error_of(catalog_.names(bad)).code, ErrorCode::kInvalid);
  }
}

TEST_F(CatalogTest, InitialiseMakesRootOneOnce) {
  EXPECT_TRUE(catalog_.roots()->empty());
  const Error missing = error_of(catalog_.active_root());
  EXPECT_EQ(missing.code, ErrorCode::kNotFound);
  EXPECT_NE(missing.message.find("thaw init"), std::string::npos) << missing.message;

  ASSERT_TRUE(catalog_.initialise());
  EXPECT_EQ(*catalog_.active_root(), 1u);
  EXPECT_EQ(as_text(*store_.get("roots/0000000000000001/state", 100)), "active\n");
  ASSERT_TRUE(catalog_.initialise());
  EXPECT_EQ(catalog_.roots()->size(), 1u);
}

TEST_F(CatalogTest, InitialiseLeavesAStoreThatMovedOnAlone) {
  ASSERT_TRUE(store_.replace("roots/0000000000000005/state", as_bytes("retired\n")));
  ASSERT_TRUE(catalog_.initialise());
  EXPECT_EQ(catalog_.roots()->size(), 1u);
}

TEST_F(CatalogTest, TheActiveRootIsTheHighestActiveOne) {
  ASSERT_TRUE(store_.replace("roots/0000000000000001/state", as_bytes("deleted\n")));
  ASSERT_TRUE(store_.replace("roots/0000000000000002/state", as_bytes("active\n")));
  ASSERT_TRUE(store_.replace("roots/000000000000000a/state", as_bytes("active\n")));
  ASSERT_TRUE(store_.replace("roots/000000000000000b/state", as_bytes("retired\n")));
  ASSERT_TRUE(store_.replace("roots/ffffffffffffffff/state", as_bytes("expired\n")));
  EXPECT_EQ(*catalog_.active_root(), 10u);
  const std::vector<std::pair<uint64_t, RootState>> expected = {{1, RootState::kDeleted},
                                                                {2, RootState::kActive},
                                                                {10, RootState::kActive},
                                                                {11, RootState::kRetired},
                                                                {UINT64_MAX, RootState::kExpired}};
  EXPECT_EQ(*catalog_.roots(), expected);
}

TEST_F(CatalogTest, NoActiveRootIsNotFound) {
  ASSERT_TRUE(store_.replace("roots/0000000000000001/state", as_bytes("retired\n")));
  EXPECT_EQ(error_of(catalog_.active_root()).code, ErrorCode::kNotFound);
}

TEST_F(CatalogTest, RootStatesAreParsedStrictly) {
  for (const std::string& text :
       {std::string("active"), std::string("active\n\n"), std::string("Active\n"), std::string(),
        std::string("unknown\n"), std::string("\xff\n"), std::string(5000, 'a')}) {
    ASSERT_TRUE(store_.replace("roots/0000000000000001/state", as_bytes(text)));
    const Error error = error_of(catalog_.roots());
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << error.message;
    EXPECT_NE(error.message.find("roots/0000000000000001/state"), std::string::npos);
    EXPECT_LT(error.message.size(), 400u);
    EXPECT_FALSE(catalog_.active_root());
    EXPECT_FALSE(catalog_.initialise());
  }
}

TEST_F(CatalogTest, AStrangeObjectAmongTheRootsIsAnError) {
  for (const std::string key : {"roots/1/state", "roots/000000000000000A/state",
                                "roots/0000000000000001/lease", "roots/0000000000000001"}) {
    MemoryStore store;
    ASSERT_TRUE(store.replace(key, as_bytes("active\n")));
    const Error error = error_of(Catalog(store).roots());
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_NE(error.message.find(key), std::string::npos) << error.message;
  }
}

TEST_F(CatalogTest, BindResolveUnbind) {
  const NameTarget first = target("one");
  const NameTarget second = target("two");
  ASSERT_TRUE(catalog_.bind_new("acme", "python", first));
  EXPECT_EQ(*catalog_.resolve("acme", "python"), first);
  EXPECT_EQ(as_text(*store_.get("names/acme/python", 1000)),
            "thaw name v1\nroot 0000000000000001\nmanifest " + first.manifest.hex() + "\n");

  EXPECT_EQ(error_of(catalog_.bind_new("acme", "python", second)).code, ErrorCode::kExists);
  EXPECT_EQ(*catalog_.resolve("acme", "python"), first);
  ASSERT_TRUE(catalog_.rebind("acme", "python", second));
  EXPECT_EQ(*catalog_.resolve("acme", "python"), second);
  EXPECT_EQ(error_of(catalog_.resolve("other", "python")).code, ErrorCode::kNotFound);

  ASSERT_TRUE(catalog_.unbind("acme", "python"));
  const Error gone = error_of(catalog_.resolve("acme", "python"));
  EXPECT_EQ(gone.code, ErrorCode::kNotFound);
  EXPECT_NE(gone.message.find("\"python\" of tenant \"acme\""), std::string::npos) << gone.message;
  EXPECT_EQ(error_of(catalog_.unbind("acme", "python")).code, ErrorCode::kNotFound);
  ASSERT_TRUE(catalog_.rebind("acme", "python", first));
  EXPECT_EQ(*catalog_.resolve("acme", "python"), first);
}

TEST_F(CatalogTest, ANameNeverDangles) {
  const NameTarget missing{1, manifest_id(as_bytes("not written"))};
  EXPECT_EQ(error_of(catalog_.bind_new("acme", "python", missing)).code, ErrorCode::kNotFound);
  EXPECT_EQ(error_of(catalog_.rebind("acme", "python", missing)).code, ErrorCode::kNotFound);
  const NameTarget elsewhere{2, target("written").manifest};
  EXPECT_FALSE(catalog_.bind_new("acme", "python", elsewhere));
  EXPECT_TRUE(catalog_.names("acme")->empty());
}

TEST_F(CatalogTest, NamesAndTenantsAscend) {
  const NameTarget any = target();
  for (const auto& [tenant, name] : std::vector<std::pair<const char*, const char*>>{
           {"b", "x"}, {"a", "z"}, {"a-b", "y"}, {"a", "k-1"}, {"a", "k"}, {"a.c", "q"}}) {
    ASSERT_TRUE(catalog_.bind_new(tenant, name, any));
  }
  EXPECT_EQ(*catalog_.tenants(), (std::vector<std::string>{"a", "a-b", "a.c", "b"}));
  EXPECT_EQ(*catalog_.names("a"), (std::vector<std::string>{"k", "k-1", "z"}));
  EXPECT_EQ(*catalog_.names("a-b"), (std::vector<std::string>{"y"}));
  EXPECT_TRUE(catalog_.names("nobody")->empty());
}

TEST_F(CatalogTest, AnObjectThatIsNoNameIsReported) {
  ASSERT_TRUE(store_.replace("names/acme/dir/name", as_bytes("x")));
  const Error error = error_of(catalog_.names("acme"));
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("names/acme/dir/name"), std::string::npos);
  ASSERT_TRUE(store_.replace("names/stray", as_bytes("x")));
  EXPECT_EQ(error_of(catalog_.tenants()).code, ErrorCode::kCorrupt);
}

TEST_F(CatalogTest, PointersAreParsedStrictly) {
  const std::string good =
      "thaw name v1\nroot 00000000000000ff\nmanifest " + std::string(64, 'a') + "\n";
  put_pointer(good);
  EXPECT_EQ(catalog_.resolve("acme", "python")->root_id, 255u);
  const auto expect_corrupt = [&](const std::string& text) {
    put_pointer(text);
    const Error error = error_of(catalog_.resolve("acme", "python"));
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << text;
    EXPECT_NE(error.message.find("names/acme/python"), std::string::npos) << error.message;
    EXPECT_LT(error.message.size(), 500u);
    for (const char c : error.message) EXPECT_TRUE(c >= ' ' && c <= '~');
  };
  for (size_t size = 0; size < good.size(); ++size) expect_corrupt(good.substr(0, size));
  expect_corrupt(good + "\n");
  expect_corrupt(good + good);
  expect_corrupt(std::string(5000, 'x'));
  expect_corrupt("\xff\xfe\x00");
  expect_corrupt("thaw name v\n");
  expect_corrupt("thaw name vx\n");
  for (size_t i = 0; i < good.size(); ++i) {
    if (good[i] == '1' && i == 11) continue;  // the version: below
    std::string changed = good;
    changed[i] = good[i] == 'Z' ? 'Y' : 'Z';  // in no valid pointer
    expect_corrupt(changed);
  }
  std::string upper = good;
  upper.replace(upper.size() - 2, 1, "A");
  expect_corrupt(upper);
}

TEST_F(CatalogTest, APointerOfAnotherVersionSaysSo) {
  for (const std::string version : {"2", "10", "0", "01"}) {
    put_pointer("thaw name v" + version + "\nwhatever follows\n");
    const Error error = error_of(catalog_.resolve("acme", "python"));
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_NE(error.message.find("thaw name v" + version), std::string::npos) << error.message;
  }
}

TEST_F(CatalogTest, ReadManifestChecksTheDigest) {
  const NameTarget good = target("content");
  EXPECT_EQ(as_text(*catalog_.read_manifest(good)), "content");
  ASSERT_TRUE(store_.replace(manifest_key(good.root_id, good.manifest), as_bytes("contenT")));
  const Error error = error_of(catalog_.read_manifest(good));
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find(good.manifest.hex()), std::string::npos) << error.message;
  ASSERT_TRUE(store_.remove(manifest_key(good.root_id, good.manifest)));
  EXPECT_EQ(error_of(catalog_.read_manifest(good)).code, ErrorCode::kNotFound);
}

TEST_F(CatalogTest, WritingAManifestTwiceChangesNothing) {
  EXPECT_EQ(target("same"), target("same"));
  EXPECT_EQ(as_text(*catalog_.read_manifest(target("same"))), "same");
}

TEST_F(CatalogTest, FaultsBecomeErrorsNeverOtherAnswers) {
  const NameTarget one = target("one");
  const NameTarget two = target("two");
  ASSERT_TRUE(catalog_.initialise());
  ASSERT_TRUE(catalog_.bind_new("acme", "python", one));
  ASSERT_TRUE(catalog_.bind_new("acme", "node", two));
  FaultyStore faulty(store_);
  const Catalog catalog(faulty);
  int failures = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    faulty.set_plan({.seed = seed, .error_rate = 0.1, .truncate_rate = 0.2, .flip_rate = 0.2});
    SCOPED_TRACE(faulty.describe());
    const auto resolved = catalog.resolve("acme", "python");
    // A pointer is not authenticated: a flipped digit may point elsewhere, never at other content.
    const auto manifest =
        resolved ? catalog.read_manifest(*resolved) : Result<Bytes>(fail(resolved.error()));
    if (manifest) {
      EXPECT_EQ(as_text(*manifest), "one");
    } else {
      ++failures;
      EXPECT_TRUE(manifest.error().code == ErrorCode::kUnavailable ||
                  manifest.error().code == ErrorCode::kCorrupt ||
                  manifest.error().code == ErrorCode::kUnsupported ||
                  manifest.error().code == ErrorCode::kNotFound)
          << manifest.error().message;
    }
    const auto root = catalog.active_root();
    EXPECT_EQ(root.value_or(1), 1u);
  }
  EXPECT_GT(failures, 50);
}

}  // namespace
}  // namespace thaw
