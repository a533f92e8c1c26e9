// SPDX-License-Identifier: Apache-2.0
#include "thaw/replay/replay_handshake.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

Result<Fd> open_passed(ReplayHandshake::Passed passed) {
  if (passed == ReplayHandshake::Passed::kDevNull) return open_file("/dev/null", O_RDWR);
  Fd fd(::memfd_create("guest-memory", MFD_CLOEXEC));
  if (!fd) return fail_errno("cannot make a memfd", errno);
  return fd;
}

}  // namespace

std::string handshake_body(const ReplayHandshake& handshake,
                           const std::vector<PlacedRegion>& regions, uint64_t page_bytes) {
  auto body = nlohmann::ordered_json::array();
  for (const PlacedRegion& placed : regions) {
    nlohmann::ordered_json element;
    element["base_host_virt_addr"] = placed.base;
    element["size"] = placed.region.bytes;
    element["offset"] = placed.region.offset;
    if (handshake.fields == ReplayHandshake::Fields::kV1_12) element["page_size"] = page_bytes;
    if (handshake.fields != ReplayHandshake::Fields::kV1_1) element["page_size_kib"] = page_bytes;
    if (handshake.unknown_field) element["numa_node"] = {{"id", 0}, {"name", "n0"}};
    body.push_back(std::move(element));
  }
  return body.dump();
}

Result<void> send_handshake(int socket, const ReplayHandshake& handshake, const std::string& body,
                            int uffd) {
  if (handshake.delivery == ReplayHandshake::Delivery::kSilent) return {};
  std::vector<Fd> owned;
  std::vector<int> fds;
  for (const ReplayHandshake::Passed passed : handshake.fds) {
    if (passed == ReplayHandshake::Passed::kUffd) {
      fds.push_back(uffd);
      continue;
    }
    ASSIGN_OR_RETURN(Fd opened, open_passed(passed));
    fds.push_back(opened.get());
    owned.push_back(std::move(opened));
  }
  const ByteSpan bytes = as_bytes(body);
  if (handshake.delivery == ReplayHandshake::Delivery::kWhole) {
    return send_with_fds(socket, bytes, fds);
  }
  const size_t cut = std::min<size_t>(
      handshake.cut_at == 0 ? bytes.size() / 2 : static_cast<size_t>(handshake.cut_at),
      bytes.size());
  TRY(send_with_fds(socket, bytes.first(cut), fds));
  if (handshake.delivery == ReplayHandshake::Delivery::kCut) return {};
  std::this_thread::sleep_for(std::chrono::milliseconds(handshake.delay_ms));
  return send_with_fds(socket, bytes.subspan(cut), {});
}

}  // namespace thaw
