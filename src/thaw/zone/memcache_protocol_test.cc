// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcache_protocol.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "thaw/zone/memcache_reply_reader.h"

namespace thaw {
namespace {

using Kind = MemcacheReply::Kind;

TEST(MemcacheProtocol, Requests) {
  EXPECT_EQ(encode_memcache_get("k", 7), "mg k v O7\r\n");
  EXPECT_EQ(encode_memcache_set("k", 5, 60, 8), "ms k 5 T60 O8\r\n");
  EXPECT_EQ(encode_memcache_delete("k", 9), "md k O9\r\n");
  EXPECT_EQ(encode_memcache_noop(), "mn\r\n");
}

TEST(MemcacheProtocol, Keys) {
  EXPECT_TRUE(is_memcache_key(std::string(250, 'k')));
  EXPECT_FALSE(is_memcache_key(std::string(251, 'k')));
  for (const char* bad : {"", "a b", "a\n", "\x7f", "a\tb", "\xc3\xa4"}) {
    EXPECT_FALSE(is_memcache_key(bad)) << bad;
  }
}

TEST(MemcacheProtocol, Replies) {
  const auto value = parse_memcache_reply("VA 12 O7 t-1");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->kind, Kind::kValue);
  EXPECT_EQ(value->value_bytes, 12U);
  EXPECT_EQ(value->opaque, 7U);
  EXPECT_EQ(parse_memcache_reply("HD O18446744073709551615")->opaque, UINT64_MAX);
  EXPECT_EQ(parse_memcache_reply("EN")->kind, Kind::kMiss);
  EXPECT_EQ(parse_memcache_reply("EN")->opaque, std::nullopt);
  EXPECT_EQ(parse_memcache_reply("NF O1")->kind, Kind::kNotFound);
  EXPECT_EQ(parse_memcache_reply("NS O1")->kind, Kind::kNotStored);
  EXPECT_EQ(parse_memcache_reply("EX O1")->kind, Kind::kNotStored);
  EXPECT_EQ(parse_memcache_reply("MN")->kind, Kind::kNoop);
  EXPECT_EQ(parse_memcache_reply("SERVER_ERROR out of memory")->kind, Kind::kServerError);
  EXPECT_EQ(parse_memcache_reply("CLIENT_ERROR bad")->kind, Kind::kClientError);
  EXPECT_EQ(parse_memcache_reply("ERROR")->kind, Kind::kClientError);
  EXPECT_EQ(parse_memcache_reply("VA 0 k kkey  s0")->value_bytes, 0U);
}

TEST(MemcacheProtocol, NoReplies) {
  for (const char* bad : {"", " ", "VA", "VA ", "VA x", "VA -1", "VA 1x", "VA 99999999999",
                          "VA 8388609", "HD O", "HD Ox", "HD O1x", "HD O18446744073709551616", "hd",
                          "VALUE k 0 1", "STORED", "END", "HDO1"}) {
    EXPECT_FALSE(parse_memcache_reply(bad)) << bad;
  }
}

/// Notes down what comes; takes values as the plan says.
class Recorder final : public MemcacheReplyReader::Handler {
 public:
  explicit Recorder(uint32_t head_bytes) : head_bytes_(head_bytes) {}

  Result<std::optional<MemcacheReplyReader::ValuePlace>> on_value(
      const MemcacheReply& reply) override {
    if (reply.opaque && *reply.opaque % 3 == 0) return std::nullopt;
    value_.assign(reply.value_bytes, std::byte{0xee});
    const uint32_t head = std::min(head_bytes_, reply.value_bytes);
    return MemcacheReplyReader::ValuePlace{std::span(value_).first(head),
                                           std::span(value_).subspan(head)};
  }
  Result<void> on_reply(const MemcacheReply& reply) override {
    log += std::to_string(static_cast<int>(reply.kind)) + ":" +
           (reply.opaque ? std::to_string(*reply.opaque) : "-") + ":" +
           std::string(as_text(value_)) + "\n";
    value_.clear();
    return {};
  }

  std::string log;

 private:
  const uint32_t head_bytes_;
  Bytes value_;
};

/// Feeds the text in pieces of the given sizes, over and over; what was recorded.
std::string read_in_pieces(const std::string& text, const std::vector<size_t>& sizes, bool skip) {
  Recorder recorder(4);
  MemcacheReplyReader reader(recorder);
  size_t at = 0;
  for (size_t turn = 0; at < text.size(); ++turn) {
    size_t left = std::min(sizes[turn % sizes.size()], text.size() - at);
    if (skip && reader.discardable() != 0) {
      const size_t skipped = std::min<uint64_t>(left, reader.discardable());
      reader.discarded(skipped);
      at += skipped;
      continue;
    }
    size_t filled = 0;
    for (const MutableByteSpan buffer : reader.buffers()) {
      const size_t here = std::min(left - filled, buffer.size());
      if (here != 0) std::memcpy(buffer.data(), text.data() + at + filled, here);
      filled += here;
    }
    at += filled;
    if (!reader.received(filled)) return recorder.log + "ended";
  }
  return recorder.log;
}

RC_GTEST_PROP(MemcacheReplyReaderProperty, HowTheBytesAreCutDoesNotMatter, ()) {
  std::string text;
  std::string expected;
  const size_t replies = *rc::gen::inRange<size_t>(1, 12);
  for (size_t i = 0; i < replies; ++i) {
    const std::string opaque = std::to_string(i);
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        text += "EN\r\n";
        expected += "2:-:\n";
        break;
      case 1:
        text += "HD O" + opaque + "\r\n";
        expected += "1:" + opaque + ":\n";
        break;
      default: {
        const std::string value(*rc::gen::inRange<size_t>(0, 3000), static_cast<char>('a' + i));
        text += "VA " + std::to_string(value.size()) + " O" + opaque + "\r\n" + value + "\r\n";
        expected += "0:" + opaque + ":" + (i % 3 == 0 ? "" : value) + "\n";
        break;
      }
    }
  }
  const auto sizes = *rc::gen::nonEmpty(
      rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(1, 1500)));
  RC_ASSERT(read_in_pieces(text, sizes, *rc::gen::arbitrary<bool>()) == expected);
  RC_ASSERT(read_in_pieces(text, {1}, false) == expected);
}

TEST(MemcacheReplyReader, EndsAtWhatIsNoAnswer) {
  for (const std::string& bad :
       {std::string("VA 3 O1\r\nabcd\r\n"), std::string("VA 3 O1\r\nabc\rx"),
        std::string("nonsense\r\n"), std::string(513, 'x'), std::string("\r\n"),
        std::string("\n") + std::string(600, '\0')}) {
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{700}}) {
      EXPECT_TRUE(read_in_pieces(bad, {piece}, false).ends_with("ended")) << bad;
    }
  }
}

TEST(MemcacheReplyReader, ADroppedValueIsNotWrittenToAgain) {
  Recorder recorder(4);
  MemcacheReplyReader reader(recorder);
  const auto feed = [&](std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
      size_t filled = 0;
      for (const MutableByteSpan buffer : reader.buffers()) {
        const size_t here = std::min(text.size() - at - filled, buffer.size());
        if (here != 0) std::memcpy(buffer.data(), text.data() + at + filled, here);
        filled += here;
      }
      at += filled;
      ASSERT_TRUE(reader.received(filled));
    }
  };
  feed("VA 10 O1\r\nabcdef");
  EXPECT_TRUE(reader.in_value());
  reader.drop_value();
  EXPECT_EQ(reader.discardable(), 4U);
  feed("ghij\r\nEN\r\n");
  const std::string room(4, '\xee');
  EXPECT_EQ(recorder.log, "0:1:abcdef" + room + "\n2:-:\n");
}

}  // namespace
}  // namespace thaw
