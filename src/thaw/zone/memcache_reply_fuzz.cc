// SPDX-License-Identifier: Apache-2.0
//
// A stream from a node, cut into pieces as the first bytes of the input say: whatever comes, each
// byte of a value lands once and in its place, and how the stream is cut changes nothing.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/zone/memcache_reply_reader.h"

namespace thaw {
namespace {

constexpr uint32_t kHeadBytes = 72;
constexpr uint32_t kKeptValueBytesMax = 1 << 16;

class Recorder final : public MemcacheReplyReader::Handler {
 public:
  Result<std::optional<MemcacheReplyReader::ValuePlace>> on_value(
      const MemcacheReply& reply) override {
    CHECK(reply.kind == MemcacheReply::Kind::kValue);
    CHECK(reply.value_bytes <= kMemcacheValueBytesMax);
    if (reply.value_bytes > kKeptValueBytesMax) return std::nullopt;
    value_.assign(reply.value_bytes, std::byte{0});
    const uint32_t head = std::min(kHeadBytes, reply.value_bytes);
    return MemcacheReplyReader::ValuePlace{std::span(value_).first(head),
                                           std::span(value_).subspan(head)};
  }
  Result<void> on_reply(const MemcacheReply& reply) override {
    log += std::to_string(static_cast<int>(reply.kind)) + ':' +
           std::to_string(reply.opaque.value_or(0)) + ':' + std::to_string(reply.value_bytes) + ':';
    log += as_text(value_);
    value_.clear();
    return {};
  }
  std::string log;

 private:
  Bytes value_;
};

std::string run(ByteSpan stream, ByteSpan cuts, bool skip) {
  Recorder recorder;
  MemcacheReplyReader reader(recorder);
  size_t turn = 0;
  while (!stream.empty()) {
    size_t piece = cuts.empty() ? 1 : 1 + std::to_integer<size_t>(cuts[turn++ % cuts.size()]) * 5;
    piece = std::min(piece, stream.size());
    if (skip && reader.discardable() != 0) {
      piece = static_cast<size_t>(std::min<uint64_t>(piece, reader.discardable()));
      reader.discarded(piece);
      stream = stream.subspan(piece);
      continue;
    }
    size_t filled = 0;
    size_t room = 0;
    for (const MutableByteSpan buffer : reader.buffers()) {
      room += buffer.size();
      const size_t here = std::min(piece - filled, buffer.size());
      if (here != 0) std::memcpy(buffer.data(), stream.data() + filled, here);
      filled += here;
    }
    CHECK(room != 0);
    stream = stream.subspan(filled);
    if (!reader.received(filled)) return recorder.log + "!";
  }
  return recorder.log;
}

}  // namespace
}  // namespace thaw

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  const ByteSpan input = std::as_bytes(std::span(data, size));
  const ByteSpan cuts = input.first(std::min<size_t>(size, 4));
  const ByteSpan stream = input.subspan(cuts.size());
  const std::string bytewise = run(stream, {}, false);
  CHECK(run(stream, cuts, false) == bytewise);
  CHECK(run(stream, cuts, true) == bytewise);
  return 0;
}
