// SPDX-License-Identifier: Apache-2.0
#include "thaw/net/socket_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <utility>

#include "thaw/base/name.h"

namespace thaw {

const sockaddr* SocketAddress::get() const {
  // SAFETY: sockaddr_storage is made to be read as any socket address.
  return reinterpret_cast<const sockaddr*>(&storage);
}

std::optional<SocketAddress> numeric_address(const std::string& host, uint16_t port) {
  SocketAddress address;
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.bytes = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.bytes = sizeof v6;
    return address;
  }
  return std::nullopt;
}

Result<std::vector<SocketAddress>> resolve_host(const std::string& host, uint16_t port) {
  if (const auto address = numeric_address(host, port)) return std::vector{*address};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) {
    return fail(ErrorCode::kUnavailable, "cannot look up " + quote(host) + ": " +
                                             ::gai_strerror(status) +
                                             "; check the name and the resolver");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.bytes = entry->ai_addrlen;
    addresses.push_back(address);
  }
  if (addresses.empty()) {
    return fail(ErrorCode::kUnavailable, "no address for " + quote(host) + "; check the name");
  }
  return addresses;
}

void Resolver::resolve(const std::string& host, uint16_t port, Done done) {
  if (const auto address = numeric_address(host, port)) {
    done(std::vector{*address});
    return;
  }
  // Shared, because a task that the pool refuses is gone with what it captured.
  const auto shared = std::make_shared<Done>(std::move(done));
  if (!pool_.submit([host, port, shared] { (*shared)(resolve_host(host, port)); }, false)) {
    (*shared)(fail(ErrorCode::kOverloaded,
                   "cannot look up " + quote(host) + ": too many look-ups wait; try later"));
  }
}

}  // namespace thaw
