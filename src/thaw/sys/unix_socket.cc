// SPDX-License-Identifier: Apache-2.0
#include "thaw/sys/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "thaw/sys/process.h"

namespace thaw {
namespace {

constexpr size_t kFdsMax = 16;
// Linux 6.5; Debian 12's headers do not have it.
constexpr int kSoPeerPidfd = 77;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::kInvalid, "socket path '" + path + "' must have 1 to " +
                                         std::to_string(sizeof address.sun_path - 1) +
                                         " bytes; choose a shorter one");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// SAFETY: the socket calls take the generic sockaddr that every address family begins with.
const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Result<Fd> listen_unix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return fail(ErrorCode::kInvalid, path + " exists and is not a socket; choose another path");
    }
    if (connect_unix(path)) {
      return fail(ErrorCode::kExists,
                  "another process listens on " + path + "; stop it or choose another path");
    }
    ::unlink(path.c_str());
  }
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("cannot make a Unix socket", errno);
  // fchmod before bind gives the file its mode from the first moment it exists.
  ::fchmod(socket.get(), 0600);
  if (::bind(socket.get(), generic(address), sizeof address) != 0) {
    return fail_errno("cannot bind the socket " + path, errno);
  }
  if (::listen(socket.get(), 128) != 0) return fail_errno("cannot listen on " + path, errno);
  return socket;
}

Result<Fd> connect_unix(const std::string& path) {
  ASSIGN_OR_RETURN(const sockaddr_un address, address_of(path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("cannot make a Unix socket", errno);
  if (::connect(socket.get(), generic(address), sizeof address) != 0) {
    return fail_errno("cannot connect to " + path, errno);
  }
  return socket;
}

Result<Received> receive_with_fds(int socket, MutableByteSpan buffer) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kFdsMax * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  Received received;
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      received.would_block = true;
      return received;
    }
    return fail_errno("cannot receive from the socket", errno);
  }
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      received.fds.emplace_back(fd);
    }
  }
  received.bytes = static_cast<size_t>(got);
  received.end = got == 0 && received.fds.empty();
  received.truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return received;
}

Result<void> send_with_fds(int socket, ByteSpan data, const std::vector<int>& fds) {
  if (fds.size() > kFdsMax) {
    return fail(ErrorCode::kInvalid, "too many descriptors for one message");
  }
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kFdsMax * sizeof(int))> control{};
  bool first = true;
  while (first || !data.empty()) {
    iovec part{const_cast<std::byte*>(data.data()), data.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (first && !fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return fail_errno("cannot send on the socket", errno);
    }
    first = false;
    data = data.subspan(static_cast<size_t>(sent));
  }
  return {};
}

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return fail_errno("cannot take the credentials of the peer", errno);
  }
  Peer peer;
  peer.pid = credentials.pid;
  if (peer.pid == 0) return peer;  // it lives in a pid namespace that is not visible from here
  int pidfd = -1;
  length = sizeof pidfd;
  if (::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &length) == 0) {
    peer.pidfd = Fd(pidfd);
  } else if (Result<Fd> opened = open_pidfd(peer.pid)) {
    peer.pidfd = std::move(*opened);
  }
  return peer;
}

}  // namespace thaw
