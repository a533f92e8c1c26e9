// SPDX-License-Identifier: Apache-2.0
//
// Unix stream sockets with descriptor passing.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// Binds `path` (at most 107 bytes) and listens. A stale socket file that nobody listens on is
/// replaced; one that answers is kExists; any other file there is kInvalid. Non-blocking, mode
/// 0600.
Result<Fd> listen_unix(const std::string& path);
/// Connects; kNotFound or kUnavailable say that nobody listens.
Result<Fd> connect_unix(const std::string& path);

/// One recvmsg's yield.
struct Received {
  size_t bytes = 0;     // written to the buffer
  std::vector<Fd> fds;  // with close-on-exec
  bool end = false;     // the peer closed
  bool would_block = false;
  bool truncated = false;  // data or descriptors did not fit; what fitted is here
};
/// Receives at most `buffer.size()` bytes and up to 16 descriptors. Never blocks.
Result<Received> receive_with_fds(int socket, MutableByteSpan buffer);
/// Sends all of `data`, the descriptors with its first byte. Blocks.
Result<void> send_with_fds(int socket, ByteSpan data, const std::vector<int>& fds);

/// The process at the other end, held by a pidfd where the kernel allows, so that a reused pid is
/// never mistaken for it. `pid` is 0 and `pidfd` empty if it is not visible from here.
struct Peer {
  pid_t pid = 0;
  Fd pidfd;
};
Result<Peer> peer_of(int socket);

}  // namespace thaw
