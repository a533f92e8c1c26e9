// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/memcache_reply_reader.h"

#include <algorithm>
#include <cstring>

#include "thaw/base/check.h"
#include "thaw/base/name.h"

namespace thaw {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

}  // namespace

void MemcacheReplyReader::reset() {
  state_ = State::kLine;
  reply_ = {};
  value_got_ = 0;
  place_.reset();
  begin_ = end_ = 0;
}

void MemcacheReplyReader::discarded(uint64_t bytes) {
  CHECK(bytes <= discardable() && begin_ == end_);
  value_got_ += bytes;
  if (value_left() == 0) state_ = State::kValueEnd;
}

std::array<MutableByteSpan, 3> MemcacheReplyReader::buffers() {
  if (begin_ == end_) begin_ = end_ = 0;
  // A line that is cut off moves to the front, so that the rest of it has room.
  if (begin_ != 0) {
    std::memmove(staging_.data(), staging_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  std::array<MutableByteSpan, 3> result{};
  MutableByteSpan free = std::span(staging_).subspan(end_);
  if (state_ == State::kValue && place_) {
    const size_t head = place_->head.size();
    const auto got = static_cast<size_t>(value_got_);
    if (got < head) result[0] = place_->head.subspan(got);
    result[1] = place_->body.subspan(got > head ? got - head : 0);
  } else if (discarding()) {
    free = free.first(static_cast<size_t>(std::min<uint64_t>(free.size(), value_left())));
  }
  result[2] = free;
  return result;
}

Result<void> MemcacheReplyReader::received(size_t bytes) {
  if (state_ == State::kValue && place_) {
    const size_t direct = static_cast<size_t>(std::min<uint64_t>(bytes, value_left()));
    value_got_ += direct;
    bytes -= direct;
    if (value_left() == 0) {
      place_.reset();
      state_ = State::kValueEnd;
    }
  }
  end_ += bytes;
  CHECK(end_ <= staging_.size());
  return take_staged();
}

Result<void> MemcacheReplyReader::take_staged() {
  while (begin_ != end_) {
    switch (state_) {
      case State::kLine: {
        ASSIGN_OR_RETURN(const bool taken, take_line());
        if (!taken) return {};
        break;
      }
      case State::kValue:
        copy_staged_value();
        break;
      case State::kValueEnd: {
        const std::string_view text = as_text(staged()).substr(0, kLineEnd.size());
        if (!kLineEnd.starts_with(text)) {
          return fail(ErrorCode::kCorrupt, "a value does not end where its length says");
        }
        if (text.size() < kLineEnd.size()) return {};
        begin_ += kLineEnd.size();
        TRY(finish_reply());
        break;
      }
    }
  }
  return {};
}

Result<bool> MemcacheReplyReader::take_line() {
  const std::string_view text = as_text(staged());
  const size_t end = text.substr(0, kMemcacheLineBytesMax).find(kLineEnd);
  if (end == std::string_view::npos) {
    if (text.size() < kMemcacheLineBytesMax) return false;
    return fail(ErrorCode::kCorrupt, "not an answer of memcached: " + quote(std::string(text)));
  }
  const std::string_view line = text.substr(0, end);
  const auto reply = parse_memcache_reply(line);
  if (!reply) {
    return fail(ErrorCode::kCorrupt, "not an answer of memcached: " + quote(std::string(line)));
  }
  reply_ = *reply;
  begin_ += end + kLineEnd.size();
  if (reply_.kind != MemcacheReply::Kind::kValue) {
    TRY(finish_reply());
    return true;
  }
  ASSIGN_OR_RETURN(place_, handler_.on_value(reply_));
  reply_.text = {};
  CHECK(!place_ || place_->head.size() + place_->body.size() == reply_.value_bytes);
  value_got_ = 0;
  state_ = reply_.value_bytes == 0 ? State::kValueEnd : State::kValue;
  return true;
}

void MemcacheReplyReader::copy_staged_value() {
  const ByteSpan bytes =
      staged().first(static_cast<size_t>(std::min<uint64_t>(end_ - begin_, value_left())));
  if (place_) {
    const size_t head = place_->head.size();
    const auto got = static_cast<size_t>(value_got_);
    const size_t to_head = got < head ? std::min(bytes.size(), head - got) : 0;
    if (to_head != 0) std::memcpy(place_->head.data() + got, bytes.data(), to_head);
    const ByteSpan rest = bytes.subspan(to_head);
    if (!rest.empty()) {
      std::memcpy(place_->body.data() + (got + to_head - head), rest.data(), rest.size());
    }
  }
  value_got_ += bytes.size();
  begin_ += bytes.size();
  if (value_left() == 0) {
    place_.reset();
    state_ = State::kValueEnd;
  }
}

Result<void> MemcacheReplyReader::finish_reply() {
  state_ = State::kLine;
  const MemcacheReply reply = reply_;
  return handler_.on_reply(reply);
}

}  // namespace thaw
