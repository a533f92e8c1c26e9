// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/file_key_provider.h"

#include <gtest/gtest.h>

#include "thaw/crypto/wrapped_key.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

// The worked example of FORMAT.md.
constexpr std::string_view kExampleKeyring =
    "746861776b65797301000000040061636d6501000000010000000100000000f15365000000001111"
    "11111111111111111111111111111111111111111111111111111111111101010000010000002222"
    "2222222222222222222224c4347af3fcac6cd60ced0f7b95dae62ca0fed159b29f78617c39db3ad2"
    "5630a05ad31373f284dd9e6164d2df14be1253c2d4164caa2ed92a2c667aceb7fa9887c5908bccd6"
    "92e73bb282efa9d81712";
constexpr std::string_view kExampleWrappedKey =
    "010100000100000044444444444444444444444499101d3b1f6d7162bcc5cac87dbf22b9cd9f996e"
    "ed586a828206b436699e7f89cd13da2b6082323b3a742e66861bdb55";

class FileKeyProviderTest : public testing::Test {
 protected:
  Keyring create(std::string_view tenant) {
    Result<Keyring> keyring = Keyring::create(dir_.path(), tenant);
    EXPECT_TRUE(keyring) << keyring.error().message;
    return std::move(*keyring);
  }
  FileKeyProvider load(std::string_view tenant) {
    Result<Keyring> keyring = Keyring::load(dir_.path(), tenant);
    EXPECT_TRUE(keyring) << keyring.error().message;
    return FileKeyProvider(std::move(*keyring));
  }
  static Error error_of(const Result<SecretBytes>& result) {
    EXPECT_FALSE(result);
    return result ? Error{ErrorCode::kInvalid, ""} : result.error();
  }

  TempDir dir_;
  const ByteSpan context_ = as_bytes("thawmani");
  const SecretBytes data_key_ = SecretBytes::random(kKeyBytes);
};

TEST_F(FileKeyProviderTest, ReadsTheWorkedExample) {
  Result<Keyring> keyring = Keyring::parse(SecretBytes::copy_of(*from_hex(kExampleKeyring)));
  ASSERT_TRUE(keyring) << keyring.error().message;
  EXPECT_EQ(keyring->info().created, 1'700'000'000u);
  const FileKeyProvider keys(std::move(*keyring));
  EXPECT_EQ(keys.tenant(), "acme");
  EXPECT_TRUE(keys.domain_secret()->equals(Bytes(32, std::byte{0x33})));
  const Result<SecretBytes> data_key =
      keys.unwrap(as_bytes("example"), *from_hex(kExampleWrappedKey));
  ASSERT_TRUE(data_key) << data_key.error().message;
  EXPECT_TRUE(data_key->equals(Bytes(32, std::byte{0x55})));
}

TEST_F(FileKeyProviderTest, RoundTripsThroughTheFile) {
  const FileKeyProvider made(create("acme"));
  const Bytes wrapped = *made.wrap(context_, data_key_);
  EXPECT_EQ(wrapped.size(), kWrappedKeyBytes);
  const FileKeyProvider loaded = load("acme");
  EXPECT_TRUE(loaded.unwrap(context_, wrapped)->equals(data_key_.span()));
  EXPECT_TRUE(loaded.domain_secret()->equals(made.domain_secret()->span()));
  EXPECT_FALSE(*loaded.needs_rewrap(wrapped));
}

TEST_F(FileKeyProviderTest, AnotherTenantIsDenied) {
  const FileKeyProvider acme(create("acme"));
  const FileKeyProvider other(create("other"));
  const Error error = error_of(other.unwrap(context_, *acme.wrap(context_, data_key_)));
  EXPECT_EQ(error.code, ErrorCode::kDenied);
  EXPECT_NE(error.message.find("master key 1 of tenant \"other\""), std::string::npos)
      << error.message;
  EXPECT_FALSE(acme.domain_secret()->equals(other.domain_secret()->span()));
}

TEST_F(FileKeyProviderTest, TheTenantIsBoundEvenUnderOneMasterKey) {
  const Bytes master(kKeyBytes, std::byte{1});
  const Bytes wrapped = wrap_data_key("acme", 1, master, context_, data_key_.span());
  EXPECT_TRUE(unwrap_data_key("acme", master, context_, wrapped));
  EXPECT_EQ(error_of(unwrap_data_key("acmf", master, context_, wrapped)).code, ErrorCode::kDenied);
  // Tenant and context do not run into each other.
  EXPECT_EQ(error_of(unwrap_data_key("acm", master, as_bytes("ethawmani"), wrapped)).code,
            ErrorCode::kDenied);
}

TEST_F(FileKeyProviderTest, AnotherContextIsDenied) {
  const FileKeyProvider keys(create("acme"));
  const Bytes wrapped = *keys.wrap(context_, data_key_);
  EXPECT_EQ(error_of(keys.unwrap(as_bytes("thawwork"), wrapped)).code, ErrorCode::kDenied);
}

TEST_F(FileKeyProviderTest, ATamperedByteIsRefusedAtEveryPosition) {
  const FileKeyProvider keys(create("acme"));
  const Bytes wrapped = *keys.wrap(context_, data_key_);
  for (size_t i = 0; i < wrapped.size(); ++i) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      Bytes changed = wrapped;
      changed[i] ^= static_cast<std::byte>(flip);
      // Provider, version and reserved bytes are a format that is not ours; the rest is tampering.
      EXPECT_EQ(error_of(keys.unwrap(context_, changed)).code,
                i < 4 ? ErrorCode::kUnsupported : ErrorCode::kDenied)
          << i;
    }
  }
}

TEST_F(FileKeyProviderTest, AnotherLengthIsRefused) {
  const FileKeyProvider keys(create("acme"));
  Bytes wrapped = *keys.wrap(context_, data_key_);
  for (size_t size = 0; size < wrapped.size(); ++size) {
    EXPECT_EQ(error_of(keys.unwrap(context_, ByteSpan(wrapped).first(size))).code,
              ErrorCode::kDenied)
        << size;
  }
  wrapped.push_back(std::byte{0});
  EXPECT_EQ(error_of(keys.unwrap(context_, wrapped)).code, ErrorCode::kDenied);
  EXPECT_FALSE(keys.needs_rewrap(wrapped));
}

TEST_F(FileKeyProviderTest, ADataKeyOfAnotherSizeIsRefused) {
  const FileKeyProvider keys(create("acme"));
  const auto wrapped = keys.wrap(context_, SecretBytes(16));
  ASSERT_FALSE(wrapped);
  EXPECT_EQ(wrapped.error().code, ErrorCode::kInvalid);
}

TEST_F(FileKeyProviderTest, RotationKeepsOldKeysUntilTheyAreDropped) {
  Keyring keyring = create("acme");
  const FileKeyProvider before = load("acme");
  const Bytes old_wrapped = *before.wrap(context_, data_key_);
  ASSERT_TRUE(keyring.rotate());

  const FileKeyProvider after = load("acme");
  EXPECT_TRUE(after.unwrap(context_, old_wrapped)->equals(data_key_.span()));
  EXPECT_TRUE(*after.needs_rewrap(old_wrapped));
  EXPECT_TRUE(after.domain_secret()->equals(before.domain_secret()->span()));
  const Bytes new_wrapped = *after.wrap(context_, data_key_);
  EXPECT_EQ(new_wrapped.size(), old_wrapped.size());
  EXPECT_FALSE(*after.needs_rewrap(new_wrapped));

  // A provider from before the rotation says which key it lacks.
  const Error missing = error_of(before.unwrap(context_, new_wrapped));
  EXPECT_EQ(missing.code, ErrorCode::kDenied);
  EXPECT_NE(missing.message.find("master key 2"), std::string::npos) << missing.message;
  EXPECT_NE(missing.message.find("load the keyring again"), std::string::npos) << missing.message;

  EXPECT_EQ(*keyring.drop_retired(), 1u);
  const FileKeyProvider last = load("acme");
  const Error dropped = error_of(last.unwrap(context_, old_wrapped));
  EXPECT_EQ(dropped.code, ErrorCode::kDenied);
  EXPECT_NE(dropped.message.find("master key 1"), std::string::npos) << dropped.message;
  EXPECT_TRUE(last.unwrap(context_, new_wrapped)->equals(data_key_.span()));
  EXPECT_TRUE(last.domain_secret()->equals(before.domain_secret()->span()));
}

}  // namespace
}  // namespace thaw
