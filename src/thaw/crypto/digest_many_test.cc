// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/digest_many.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace thaw {
namespace {

void expect_as_reference(const std::vector<ByteSpan>& messages) {
  std::vector<Digest> digests(messages.size());
  sha256_many(messages, digests);
  for (size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(digests[i], sha256(messages[i])) << i << " of " << messages[i].size() << " bytes";
  }
}

TEST(Sha256Many, HasTheVectorsOfFips180) {
  const std::vector<ByteSpan> messages{
      as_bytes("abc"), {}, as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")};
  std::vector<Digest> digests(3);
  sha256_many(messages, digests);
  EXPECT_EQ(to_hex(digests[0]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(digests[1]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(digests[2]), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Many, EqualLengthsAroundEachBlockBoundary) {
  Bytes data(8 * 300);
  std::mt19937 random(1);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  for (size_t length = 0; length <= 300; ++length) {
    for (const size_t count : {1u, 2u, 3u, 4u, 7u}) {
      std::vector<ByteSpan> messages;
      for (size_t i = 0; i < count; ++i) messages.push_back({data.data() + i * 300 + i, length});
      expect_as_reference(messages);
    }
  }
}

TEST(Sha256Many, AnyMixtureOfLengths) {
  Bytes data(100'000);
  std::mt19937 random(2);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  for (int round = 0; round < 500; ++round) {
    std::vector<ByteSpan> messages(random() % 9);
    for (ByteSpan& message : messages) {
      const size_t begin = random() % data.size();
      message = ByteSpan(data).subspan(begin, random() % (data.size() - begin) % 9000);
    }
    expect_as_reference(messages);
  }
}

TEST(Sha256Many, PagesInFours) {
  Bytes data(16 * 4096);
  std::mt19937 random(3);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  std::vector<ByteSpan> pages;
  for (size_t i = 0; i < 16; ++i) pages.push_back(ByteSpan(data).subspan(i * 4096, 4096));
  expect_as_reference(pages);
}

}  // namespace
}  // namespace thaw
