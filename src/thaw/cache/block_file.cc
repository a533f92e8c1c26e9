// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/block_file.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

namespace thaw {
namespace {

/// What is left of two spans after the first `done` bytes.
template <typename Span>
std::array<iovec, 2> rest_of(Span first, Span second, size_t done) {
  const size_t from_first = std::min(done, first.size());
  const Span rest_first = first.subspan(from_first);
  const Span rest_second = second.subspan(done - from_first);
  // SAFETY: pwritev only reads through the pointer; iovec has one type for both directions.
  return {iovec{const_cast<std::byte*>(rest_first.data()), rest_first.size()},
          iovec{const_cast<std::byte*>(rest_second.data()), rest_second.size()}};
}

/// Moves both spans by calls of preadv or pwritev; the bytes moved before the file's end, or errno.
template <typename Span, typename Call>
tl::expected<size_t, int> move_all(Span first, Span second, const Call& call) {
  const size_t size = first.size() + second.size();
  size_t done = 0;
  while (done < size) {
    const std::array<iovec, 2> rest = rest_of(first, second, done);
    // An empty first part is left out: it is not aligned to anything.
    const bool skip = rest[0].iov_len == 0;
    const ssize_t moved = call(rest.data() + skip, skip || rest[1].iov_len == 0 ? 1 : 2, done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return tl::unexpected(errno);
    if (moved == 0) break;
    done += static_cast<size_t>(moved);
  }
  return done;
}

}  // namespace

Result<void> FdBlockFile::read(uint64_t offset, MutableByteSpan first, MutableByteSpan second) {
  const auto moved = move_all(first, second, [&](const iovec* parts, int count, size_t done) {
    return ::preadv(fd_.get(), parts, count, static_cast<off_t>(offset + done));
  });
  const std::string where = path_ + " at byte " + std::to_string(offset);
  if (!moved) return fail_errno("cannot read " + where, moved.error());
  if (*moved < first.size() + second.size()) {
    return fail(ErrorCode::kCorrupt, "cannot read " + where + ": the file ends " +
                                         std::to_string(*moved) + " bytes further on");
  }
  return {};
}

Result<void> FdBlockFile::write(uint64_t offset, ByteSpan first, ByteSpan second) {
  const auto moved = move_all(first, second, [&](const iovec* parts, int count, size_t done) {
    return ::pwritev(fd_.get(), parts, count, static_cast<off_t>(offset + done));
  });
  const std::string where = path_ + " at byte " + std::to_string(offset);
  if (!moved) return fail_errno("cannot write " + where, moved.error());
  if (*moved < first.size() + second.size()) return fail_errno("cannot write " + where, ENOSPC);
  return {};
}

}  // namespace thaw
