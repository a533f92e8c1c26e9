// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/manifest.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "thaw/crypto/cipher.h"
#include "thaw/image/sealed_object.h"
#include "thaw/testing/fixed_keys.h"

namespace thaw {
namespace {

Manifest small_manifest() {
  Manifest manifest;
  manifest.clear.root_id = 7;
  manifest.clear.chunk_bytes = 16384;
  manifest.clear.chunks = {{ChunkId{sha256(as_bytes("a"))}, 4},
                           {ChunkId{sha256(as_bytes("b"))}, 2}};
  manifest.chunk_keys = SecretBytes::copy_of(Bytes(2 * kKeyBytes, std::byte{0x5a}));
  const std::vector<uint32_t> chunk_pages{4, 2};
  manifest.images.push_back({ImageKind::kMemory, "memory", 10 * kPageBytes,
                             *PageMap::make(10, {{0, 0, 0, 4}, {6, 1, 1, 1}}, chunk_pages)});
  manifest.images.push_back(
      {ImageKind::kVmstate, "vmstate", 5000, *PageMap::make(2, {{0, 1, 0, 2}}, chunk_pages)});
  manifest.images.push_back(
      {ImageKind::kDisk, "root.ext4", 3 * kPageBytes, *PageMap::make(3, {}, chunk_pages)});
  manifest.annotations = {{"tool", "thaw"}, {"empty", ""}};
  return manifest;
}

void expect_equal(const Manifest& a, const Manifest& b) {
  EXPECT_EQ(a.clear.root_id, b.clear.root_id);
  EXPECT_EQ(a.clear.chunk_bytes, b.clear.chunk_bytes);
  EXPECT_EQ(a.clear.layout, b.clear.layout);
  ASSERT_EQ(a.clear.chunks.size(), b.clear.chunks.size());
  for (size_t i = 0; i < a.clear.chunks.size(); ++i) {
    EXPECT_EQ(a.clear.chunks[i].id, b.clear.chunks[i].id);
    EXPECT_EQ(a.clear.chunks[i].pages, b.clear.chunks[i].pages);
  }
  EXPECT_TRUE(a.chunk_keys.equals(b.chunk_keys.span()));
  ASSERT_EQ(a.images.size(), b.images.size());
  for (size_t i = 0; i < a.images.size(); ++i) {
    EXPECT_EQ(a.images[i].kind, b.images[i].kind);
    EXPECT_EQ(a.images[i].name, b.images[i].name);
    EXPECT_EQ(a.images[i].bytes, b.images[i].bytes);
    EXPECT_TRUE(std::ranges::equal(a.images[i].map.extents(), b.images[i].map.extents()));
  }
  EXPECT_EQ(a.annotations, b.annotations);
}

TEST(Manifest, RoundTrip) {
  const FixedKeys keys;
  const Manifest manifest = small_manifest();
  const Bytes bytes = *encode_manifest(manifest, keys);
  expect_equal(*decode_manifest(bytes, keys), manifest);
  const ManifestClear clear = *decode_manifest_clear(bytes);
  EXPECT_EQ(clear.root_id, 7u);
  EXPECT_EQ(clear.chunks[1].pages, 2u);
}

TEST(Manifest, FindsImagesByKind) {
  const Manifest manifest = small_manifest();
  EXPECT_EQ(manifest.find(ImageKind::kVmstate)->bytes, 5000u);
  EXPECT_EQ(manifest.find(ImageKind::kDisk, "root.ext4")->name, "root.ext4");
  EXPECT_EQ(manifest.find(ImageKind::kDisk, "other"), nullptr);
}

// Made by tools/make_manifest_vector.py, which shares no code with thaw.
TEST(Manifest, ReadsTheIndependentVector) {
  std::ifstream file(THAW_IMAGE_TESTDATA "/manifest.hex");
  ASSERT_TRUE(file.is_open());
  std::string text, line;
  while (std::getline(file, line)) {
    if (!line.starts_with('#')) text += line;
  }
  const Bytes bytes = *from_hex(text);
  expect_equal(*decode_manifest(bytes, FixedKeys()), small_manifest());
}

TEST(Manifest, EveryCutIsRefused) {
  const FixedKeys keys;
  const Bytes bytes = *encode_manifest(small_manifest(), keys);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const ByteSpan cut = ByteSpan(bytes).first(size);
    ASSERT_FALSE(decode_manifest(cut, keys)) << size;
    ASSERT_FALSE(decode_manifest_clear(cut)) << size;
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_manifest(longer, keys));
}

TEST(Manifest, EveryFlippedBitIsRefused) {
  const FixedKeys keys;
  const Bytes bytes = *encode_manifest(small_manifest(), keys);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes bad = bytes;
    bad[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    ASSERT_FALSE(decode_manifest(bad, keys)) << bit;
  }
}

TEST(Manifest, AnotherVersionSaysSo) {
  const FixedKeys keys;
  Bytes bytes = *encode_manifest(small_manifest(), keys);
  bytes[8] = std::byte{9};
  const Result<Manifest> decoded = decode_manifest(bytes, keys);
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(decoded.error().message.find("version 9"), std::string::npos)
      << decoded.error().message;
  EXPECT_EQ(decode_manifest_clear(bytes).error().code, ErrorCode::kUnsupported);
}

TEST(Manifest, OversizedLengthsAreRefusedBeforeTheyAreUsed) {
  const FixedKeys keys;
  const Bytes bytes = *encode_manifest(small_manifest(), keys);
  for (const size_t field : {12u, 16u, 24u}) {
    Bytes bad = bytes;
    for (size_t i = 0; i < 4; ++i) bad[field + i] = std::byte{0xff};
    const Result<Manifest> decoded = decode_manifest(bad, keys);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, ErrorCode::kInvalid);
  }
}

TEST(Manifest, AnotherTenantsKeyIsDenied) {
  const Bytes bytes = *encode_manifest(small_manifest(), FixedKeys("one"));
  const Result<Manifest> decoded = decode_manifest(bytes, FixedKeys("two"));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kDenied);
}

TEST(Manifest, RewrapKeepsTheContent) {
  const FixedKeys keys;
  const Bytes bytes = *encode_manifest(small_manifest(), keys);
  const Bytes rewrapped = *rewrap_manifest(bytes, keys);
  EXPECT_NE(manifest_id(bytes), manifest_id(rewrapped));
  expect_equal(*decode_manifest(rewrapped, keys), small_manifest());
}

TEST(Manifest, DiskNames) {
  EXPECT_TRUE(validate_disk_name("root.ext4"));
  for (const std::string& bad : {std::string(), std::string(".."), std::string("a/b"),
                                 std::string("-x"), std::string(65, 'a'), std::string("\xff")}) {
    EXPECT_FALSE(validate_disk_name(bad)) << bad;
  }
}

// A tenant who holds the key may seal what no writer of ours would; and what it says is read byte
// by byte as FORMAT.md has it, not by our writer.
class HotManifest : public testing::Test {
 protected:
  /// Two chunks; a memory of 10 pages, of which 0 to 3 and 6 hold data.
  Result<Manifest> decode(uint32_t hot, uint32_t skirt,
                          const std::vector<std::pair<uint32_t, uint32_t>>& zero_runs) const {
    constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'M', 'A', 'N', 'I'}, 1, "manifest"};
    Bytes clear;
    ByteWriter clear_writer(clear);
    clear_writer.put(uint64_t{7});
    clear_writer.put(uint32_t{16384});
    clear_writer.put(uint32_t{1});  // hot
    clear_writer.put(uint64_t{2});
    for (const auto& [name, pages] : {std::pair("a", 4u), std::pair("b", 2u)}) {
      clear_writer.put_bytes(sha256(as_bytes(name)));
      clear_writer.put(pages);
    }
    Bytes sealed;
    ByteWriter writer(sealed);
    writer.put_bytes(Bytes(2 * kKeyBytes, std::byte{0x5a}));
    writer.put(uint32_t{1});
    writer.put(uint8_t{1});
    writer.put_text<uint16_t>("memory");
    writer.put(uint64_t{10 * kPageBytes});
    writer.put(uint64_t{2});
    for (const Extent& extent : {Extent{0, 0, 0, 4}, Extent{6, 1, 1, 1}}) {
      writer.put(extent.page);
      writer.put(extent.chunk);
      writer.put(extent.slot);
      writer.put(extent.count);
    }
    writer.put(uint32_t{0});  // annotations
    writer.put(hot);
    writer.put(skirt);
    writer.put(uint64_t{zero_runs.size()});
    for (const auto& [page, count] : zero_runs) {
      writer.put(page);
      writer.put(count);
    }
    return decode_manifest(*make_envelope(kKind, clear, sealed, keys_), keys_);
  }
  std::string refusal(uint32_t hot, uint32_t skirt,
                      const std::vector<std::pair<uint32_t, uint32_t>>& zero_runs) const {
    const Result<Manifest> manifest = decode(hot, skirt, zero_runs);
    return manifest ? "accepted" : manifest.error().message;
  }

  const FixedKeys keys_;
};

TEST_F(HotManifest, TheHotSetIsReadAsSpecified) {
  const Result<Manifest> manifest = decode(1, 1, {{4, 2}, {8, 1}});
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->clear.layout, Layout::kHot);
  EXPECT_EQ(manifest->hot.chunks, 1u);
  EXPECT_EQ(manifest->hot.skirt_chunks, 1u);
  EXPECT_EQ(manifest->hot.zero_runs, (std::vector<PageRun>{{4, 2}, {8, 1}}));
}

TEST_F(HotManifest, AHotSetThatCannotBeIsRefused) {
  EXPECT_NE(refusal(3, 0, {}).find("more hot chunks"), std::string::npos);
  EXPECT_NE(refusal(1, 2, {}).find("more hot chunks"), std::string::npos);
  EXPECT_NE(refusal(0xffffffff, 0xffffffff, {}).find("more hot chunks"), std::string::npos);
  // The zero run would turn data into zeros.
  EXPECT_NE(refusal(1, 0, {{3, 1}}).find("covers data"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{4, 3}}).find("covers data"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{9, 2}}).find("past the end"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{0xffffffff, 0xffffffff}}).find("past the end"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{4, 0}}).find("out of order"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{8, 1}, {4, 1}}).find("out of order"), std::string::npos);
  EXPECT_NE(refusal(1, 0, {{4, 2}, {5, 1}}).find("out of order"), std::string::npos);
}

}  // namespace
}  // namespace thaw
