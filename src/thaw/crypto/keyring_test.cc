// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/keyring.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "thaw/crypto/cipher.h"
#include "thaw/crypto/digest.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

class KeyringTest : public testing::Test {
 protected:
  Keyring create(std::string_view tenant = "acme") {
    Result<Keyring> keyring = Keyring::create(dir_.path(), tenant);
    EXPECT_TRUE(keyring) << keyring.error().message;
    return std::move(*keyring);
  }
  Error load_error(std::string_view tenant = "acme") {
    const Result<Keyring> keyring = Keyring::load(dir_.path(), tenant);
    EXPECT_FALSE(keyring);
    return keyring ? Error{ErrorCode::kExists, ""} : keyring.error();
  }
  Bytes bytes_of(const std::string& tenant = "acme") {
    return *read_file(dir_.file(tenant + ".keyring"), 1 << 20);
  }
  /// Every file in the directory, dot-files too.
  std::set<std::string> files() {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  static Error parse_error(ByteSpan bytes) {
    const Result<Keyring> keyring = Keyring::parse(SecretBytes::copy_of(bytes));
    EXPECT_FALSE(keyring);
    return keyring ? Error{ErrorCode::kExists, ""} : keyring.error();
  }
  /// The bytes with their checksum made right again.
  static Bytes checksummed(Bytes bytes) {
    const Digest digest = sha256(ByteSpan(bytes).first(bytes.size() - kDigestBytes));
    std::copy(digest.begin(), digest.end(), bytes.end() - kDigestBytes);
    return bytes;
  }

  TempDir dir_;
};

TEST_F(KeyringTest, CreateNeverOverwrites) {
  create();
  const Bytes before = bytes_of();
  const Result<Keyring> again = Keyring::create(dir_.path(), "acme");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kExists);
  EXPECT_EQ(bytes_of(), before);
  EXPECT_EQ(files(), (std::set<std::string>{"acme.keyring", ".acme.lock"}));
}

TEST_F(KeyringTest, OneOfManyCreatorsWins) {
  std::vector<std::thread> threads;
  std::atomic<int> created{0};
  std::atomic<int> existed{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Result<Keyring> keyring = Keyring::create(dir_.path(), "acme");
      if (keyring) ++created;
      if (!keyring && keyring.error().code == ErrorCode::kExists) ++existed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
  EXPECT_EQ(existed, 7);
}

TEST_F(KeyringTest, MakesItsDirectoryAndIsPrivate) {
  const std::string directory = dir_.file("a/b");
  ASSERT_TRUE(Keyring::create(directory, "acme"));
  struct stat status{};
  ASSERT_EQ(::stat(directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat((directory + "/acme.keyring").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(KeyringTest, RefusesTenantsThatAreNoNames) {
  for (const std::string& tenant :
       {std::string(), std::string(".."), std::string("a/b"), std::string("../x"),
        std::string("a\0b", 3), std::string("\xff"), std::string(4096, 'x')}) {
    const Result<Keyring> created = Keyring::create(dir_.path(), tenant);
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, ErrorCode::kInvalid);
    EXPECT_LT(created.error().message.size(), 600u);
    EXPECT_EQ(load_error(tenant).code, ErrorCode::kInvalid);
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(KeyringTest, AMissingOneIsNotFound) {
  const Error error = load_error("nobody");
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_NE(error.message.find("\"nobody\""), std::string::npos);
  EXPECT_EQ(Keyring::load(dir_.file("missing"), "acme").error().code, ErrorCode::kNotFound);
}

TEST_F(KeyringTest, RefusesAFileThatOthersMayTouch) {
  create();
  for (const mode_t mode : {0644u, 0640u, 0620u, 0604u, 0602u, 0610u, 0666u}) {
    ASSERT_EQ(::chmod(dir_.file("acme.keyring").c_str(), mode), 0);
    const Error error = load_error();
    EXPECT_EQ(error.code, ErrorCode::kDenied);
    EXPECT_NE(error.message.find("chmod 600"), std::string::npos) << error.message;
    EXPECT_FALSE(Keyring::list(dir_.path()));
  }
  for (const mode_t mode : {0600u, 0400u}) {
    ASSERT_EQ(::chmod(dir_.file("acme.keyring").c_str(), mode), 0);
    EXPECT_TRUE(Keyring::load(dir_.path(), "acme")) << mode;
  }
}

TEST_F(KeyringTest, RefusesADirectoryThatOthersMayWrite) {
  create();
  for (const mode_t mode : {0770u, 0702u, 0777u, 01777u}) {
    ASSERT_EQ(::chmod(dir_.path().c_str(), mode), 0);
    EXPECT_EQ(load_error().code, ErrorCode::kDenied) << mode;
    EXPECT_EQ(Keyring::create(dir_.path(), "other").error().code, ErrorCode::kDenied) << mode;
  }
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  EXPECT_TRUE(Keyring::load(dir_.path(), "acme"));
}

TEST_F(KeyringTest, RefusesAForeignOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  create();
  ASSERT_EQ(::chown(dir_.file("acme.keyring").c_str(), 12345, 12345), 0);
  EXPECT_EQ(load_error().code, ErrorCode::kDenied);
  ASSERT_EQ(::chown(dir_.file("acme.keyring").c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(dir_.path().c_str(), 12345, 12345), 0);
  EXPECT_EQ(load_error().code, ErrorCode::kDenied);
}

TEST_F(KeyringTest, RefusesWhatIsNoPlainFile) {
  create("real");
  ASSERT_EQ(::symlink("real.keyring", dir_.file("link.keyring").c_str()), 0);
  ASSERT_EQ(::mkfifo(dir_.file("fifo.keyring").c_str(), 0600), 0);
  ASSERT_EQ(::mkdir(dir_.file("dir.keyring").c_str(), 0700), 0);
  for (const char* tenant : {"link", "fifo", "dir"}) {
    EXPECT_EQ(load_error(tenant).code, ErrorCode::kInvalid) << tenant;
  }
}

TEST_F(KeyringTest, RefusesTheKeyringOfAnotherTenant) {
  create();
  ASSERT_EQ(::rename(dir_.file("acme.keyring").c_str(), dir_.file("other.keyring").c_str()), 0);
  const Error error = load_error("other");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find("\"acme\""), std::string::npos) << error.message;
}

TEST_F(KeyringTest, IsCorruptWhereverItIsCutOrChanged) {
  Keyring keyring = create();
  ASSERT_TRUE(keyring.rotate());
  const Bytes bytes = bytes_of();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_error(ByteSpan(bytes).first(size)).code, ErrorCode::kCorrupt) << size;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= std::byte{0x10};
    const bool is_version = i >= 8 && i < 12;
    EXPECT_EQ(parse_error(changed).code, is_version ? ErrorCode::kUnsupported : ErrorCode::kCorrupt)
        << i;
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_EQ(parse_error(longer).code, ErrorCode::kCorrupt);
  EXPECT_TRUE(Keyring::parse(SecretBytes::copy_of(bytes)));
}

TEST_F(KeyringTest, AnUnknownVersionSaysSo) {
  create();
  Bytes bytes = bytes_of();
  bytes[8] = std::byte{2};
  ASSERT_TRUE(replace_file(dir_.file("acme.keyring"), checksummed(bytes), 0600));
  const Error error = load_error();
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_NE(error.message.find("version 2"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("acme.keyring"), std::string::npos) << error.message;
}

TEST_F(KeyringTest, FieldsAreCheckedBehindARightChecksum) {
  Keyring keyring = create();  // "acme": the fields stand at the offsets of FORMAT.md with t = 4
  ASSERT_TRUE(keyring.rotate());
  const Bytes bytes = bytes_of();
  const auto with = [&](size_t offset, std::initializer_list<unsigned> values) {
    Bytes changed = bytes;
    for (const unsigned value : values) changed[offset++] = static_cast<std::byte>(value);
    return checksummed(changed);
  };
  EXPECT_TRUE(Keyring::parse(SecretBytes::copy_of(with(0, {'t'}))));
  EXPECT_EQ(parse_error(with(12, {0, 0})).code, ErrorCode::kCorrupt);        // no tenant
  EXPECT_EQ(parse_error(with(12, {0xff, 0xff})).code, ErrorCode::kCorrupt);  // a long one
  EXPECT_EQ(parse_error(with(14, {'.'})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_error(with(14, {'b'})).code, ErrorCode::kCorrupt);  // bound to the secret
  EXPECT_EQ(parse_error(with(18, {9})).code, ErrorCode::kCorrupt);    // active: none such
  EXPECT_EQ(parse_error(with(18, {1})).code, ErrorCode::kCorrupt);    // active: retired
  EXPECT_EQ(parse_error(with(22, {0})).code, ErrorCode::kCorrupt);    // no keys
  EXPECT_EQ(parse_error(with(22, {1})).code, ErrorCode::kCorrupt);    // fewer than there are
  EXPECT_EQ(parse_error(with(22, {3})).code, ErrorCode::kCorrupt);    // more
  EXPECT_EQ(parse_error(with(22, {0xff, 0xff, 0xff, 0xff})).code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_error(with(26, {0})).code, ErrorCode::kCorrupt);  // key id 0
  EXPECT_EQ(parse_error(with(26, {2})).code, ErrorCode::kCorrupt);  // an id twice
  EXPECT_EQ(parse_error(with(26 + 44 + 12, {0, 1, 2, 3})).code, ErrorCode::kCorrupt);  // a key
}

TEST_F(KeyringTest, ListShowsNoSecret) {
  Keyring acme = create("acme");
  create("beta");
  ASSERT_TRUE(acme.rotate());
  const Result<std::vector<KeyringInfo>> infos = Keyring::list(dir_.path());
  ASSERT_TRUE(infos) << infos.error().message;
  ASSERT_EQ(infos->size(), 2u);
  std::ostringstream shown;
  for (const KeyringInfo& info : *infos) {
    shown << info.tenant << ' ' << info.active_id << ' ' << info.created << ' ' << info.keys
          << '\n';
  }
  EXPECT_TRUE(shown.str().starts_with("acme 2 ")) << shown.str();
  EXPECT_NE(shown.str().find("\nbeta 1 "), std::string::npos) << shown.str();
  EXPECT_EQ((*infos)[0].keys, 2u);
  EXPECT_NEAR(static_cast<double>((*infos)[0].created), static_cast<double>(::time(nullptr)), 60.0);
  for (const uint32_t id : {1u, 2u}) {
    const ByteSpan key = *acme.key(id);
    EXPECT_EQ(shown.str().find(as_text(key.first(4))), std::string::npos);
    EXPECT_EQ(shown.str().find(to_hex(key.first(4))), std::string::npos);
  }
}

TEST_F(KeyringTest, ListNamesTheBadOne) {
  create("acme");
  ASSERT_TRUE(replace_file(dir_.file("bad.keyring"), as_bytes("nonsense"), 0600));
  const auto infos = Keyring::list(dir_.path());
  ASSERT_FALSE(infos);
  EXPECT_EQ(infos.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(infos.error().message.find("bad.keyring"), std::string::npos);
}

TEST_F(KeyringTest, ConcurrentRotationsLoseNoKey) {
  create();
  constexpr int kThreads = 4;
  constexpr int kRotations = 5;
  std::atomic<int> rotated{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Result<Keyring> keyring = Keyring::load(dir_.path(), "acme");
      for (int k = 0; keyring && k < kRotations; ++k) rotated += keyring->rotate() ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rotated, kThreads * kRotations);
  const Result<Keyring> keyring = Keyring::load(dir_.path(), "acme");
  ASSERT_TRUE(keyring) << keyring.error().message;
  EXPECT_EQ(keyring->info().keys, 1u + kThreads * kRotations);
  EXPECT_EQ(keyring->active_id(), 1u + kThreads * kRotations);
  EXPECT_EQ(files(), (std::set<std::string>{"acme.keyring", ".acme.lock"}));
}

TEST_F(KeyringTest, DropKeepsWhatAnotherProcessRetiredSince) {
  Keyring ours = create();
  ASSERT_TRUE(ours.rotate());
  Result<Keyring> theirs = Keyring::load(dir_.path(), "acme");
  ASSERT_TRUE(theirs->rotate());
  // Everything may be rewrapped to key 2 by now, but nobody rewrapped from 2 to 3.
  EXPECT_EQ(*ours.drop_retired(), 1u);
  EXPECT_EQ(ours.ids(), "2, 3");
  EXPECT_EQ(ours.active_id(), 3u);
  EXPECT_EQ(*ours.drop_retired(), 1u);
  EXPECT_EQ(ours.ids(), "3");
  EXPECT_EQ(*ours.drop_retired(), 0u);
  ASSERT_TRUE(ours.rotate());
  EXPECT_EQ(ours.ids(), "3, 4");  // ids are never used twice
}

TEST_F(KeyringTest, TheLimitOfKeysIsAnError) {
  // Built by hand: a thousand rotations would sync a thousand times.
  Keyring keyring = create();
  const Bytes bytes = bytes_of();
  Bytes many(bytes.begin(), bytes.begin() + 18);
  ByteWriter writer(many);
  writer.put(uint32_t{1});
  writer.put(kKeyringKeysMax);
  writer.put_bytes(ByteSpan(bytes).subspan(26, 44));
  for (uint32_t id = 2; id <= kKeyringKeysMax; ++id) {
    writer.put(id);
    writer.put(uint64_t{0});
    writer.put_bytes(Bytes(kKeyBytes));
  }
  writer.put_bytes(ByteSpan(bytes).subspan(70));
  ASSERT_TRUE(replace_file(dir_.file("acme.keyring"), checksummed(many), 0600));
  const Result<void> rotated = keyring.rotate();
  ASSERT_FALSE(rotated);
  EXPECT_EQ(rotated.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(keyring.ids(), "1");
}

TEST_F(KeyringTest, WhatAKilledWriterLeftIsRemoved) {
  Keyring keyring = create();
  ASSERT_TRUE(replace_file(dir_.file(".acme.keyring.tmp"), as_bytes("half"), 0600));
  EXPECT_EQ(Keyring::list(dir_.path())->size(), 1u);
  ASSERT_TRUE(keyring.rotate());
  EXPECT_EQ(files(), (std::set<std::string>{"acme.keyring", ".acme.lock"}));
}

TEST_F(KeyringTest, LeaksNoDescriptors) {
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = open_files();
  Keyring keyring = create();
  ASSERT_TRUE(keyring.rotate());
  EXPECT_TRUE(keyring.drop_retired());
  EXPECT_TRUE(Keyring::list(dir_.path()));
  EXPECT_FALSE(Keyring::create(dir_.path(), "acme"));
  EXPECT_FALSE(Keyring::load(dir_.path(), "none"));
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace thaw
