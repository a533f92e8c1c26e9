// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/vmm_handshake.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "thaw/base/units.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSpace = " \t\r\n";

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(ErrorCode::kInvalid, "handshake refused: " + why);
}

// An unsigned field of an element; `fallback` stands for a missing one, none makes it required.
Result<uint64_t> field(const Json& element, size_t index, const char* name,
                       const uint64_t* fallback = nullptr) {
  const auto found = element.find(name);
  if (found == element.end()) {
    if (fallback != nullptr) return *fallback;
    return refuse("region " + std::to_string(index) + " has no field '" + name + "'");
  }
  if (!found->is_number_unsigned()) {
    return refuse("field '" + std::string(name) + "' of region " + std::to_string(index) +
                  " is not an unsigned 64-bit number");
  }
  return found->get<uint64_t>();
}

Result<MemoryRegion> parse_region(const Json& element, size_t index) {
  if (!element.is_object()) {
    return refuse("region " + std::to_string(index) + " is not a JSON object");
  }
  if (const auto guest_memfd = element.find("is_guest_memfd");
      guest_memfd != element.end() && *guest_memfd != Json(false)) {
    return fail(ErrorCode::kUnsupported,
                "handshake refused: the VMM uses guest_memfd (secret-free) memory, which this page "
                "server cannot fill; start it without secret_free");
  }
  MemoryRegion region;
  ASSIGN_OR_RETURN(region.address, field(element, index, "base_host_virt_addr"));
  ASSIGN_OR_RETURN(region.bytes, field(element, index, "size"));
  ASSIGN_OR_RETURN(region.offset, field(element, index, "offset"));
  const uint64_t small = kPageBytes;
  // v1.7 to v1.11 put bytes into a field called kib; v1.12 sends both.
  ASSIGN_OR_RETURN(const uint64_t kib, field(element, index, "page_size_kib", &small));
  ASSIGN_OR_RETURN(region.page_bytes, field(element, index, "page_size", &kib));
  return region;
}

bool is_uffd(int fd) {
  std::array<char, 64> target;
  const ssize_t length =
      ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
  return length > 0 &&
         std::string_view(target.data(), static_cast<size_t>(length)) == "anon_inode:[userfaultfd]";
}

Result<void> validate_region(const MemoryRegion& region, size_t index, uint64_t image_bytes) {
  const std::string which = "region " + std::to_string(index);
  if (region.page_bytes != kPageBytes && region.page_bytes != kHugePageBytes) {
    return refuse(which + " has pages of " + std::to_string(region.page_bytes) +
                  " bytes; 4096 and 2097152 can be served");
  }
  if (region.bytes == 0) return refuse(which + " is empty");
  if ((region.address | region.bytes | region.offset) % region.page_bytes != 0) {
    return refuse(which + " is not aligned to its pages of " + std::to_string(region.page_bytes) +
                  " bytes");
  }
  if (region.bytes > UINT64_MAX - region.address) {
    return refuse(which + " goes past the end of the address space");
  }
  if (region.offset > image_bytes || region.bytes > image_bytes - region.offset) {
    return refuse(which + " goes past the end of the memory image, which has " +
                  std::to_string(image_bytes) +
                  " bytes; is this the snapshot that the VMM's state belongs to?");
  }
  return {};
}

}  // namespace

Result<ParsedRegions> parse_regions(std::string_view json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return refuse("it is not valid JSON");
  if (document.is_object()) {
    return fail(
        ErrorCode::kUnsupported,
        "handshake refused: a typed envelope came where Firecracker's bare array of regions "
        "is expected");
  }
  if (!document.is_array()) return refuse("it is not a JSON array of regions");
  if (document.empty()) return refuse("it has no region");
  if (document.size() > kRegionsMax) {
    return refuse("it has " + std::to_string(document.size()) + " regions; at most " +
                  std::to_string(kRegionsMax) + " are served");
  }
  ParsedRegions parsed;
  for (size_t i = 0; i < document.size(); ++i) {
    ASSIGN_OR_RETURN(const MemoryRegion region, parse_region(document[i], i));
    parsed.regions.push_back(region);
  }
  parsed.keeps_socket = document[0].contains("page_size");
  return parsed;
}

Result<void> validate_regions(std::vector<MemoryRegion>& regions, uint64_t image_bytes) {
  if (regions.empty()) return refuse("it has no region");
  for (size_t i = 0; i < regions.size(); ++i) TRY(validate_region(regions[i], i, image_bytes));
  std::sort(regions.begin(), regions.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  uint64_t covered = 0;
  for (const MemoryRegion& region : regions) {
    if (region.offset != covered) {
      return refuse(region.offset < covered ? "two regions take the same bytes of the memory image"
                                            : "no region takes the memory image's bytes from " +
                                                  std::to_string(covered));
    }
    covered += region.bytes;
  }
  if (covered != image_bytes) {
    return refuse("the regions take " + std::to_string(covered) + " bytes, the memory image has " +
                  std::to_string(image_bytes) +
                  "; is this the snapshot that the VMM's state belongs to?");
  }
  std::sort(regions.begin(), regions.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  for (size_t i = 1; i < regions.size(); ++i) {
    if (regions[i].address < regions[i - 1].address + regions[i - 1].bytes) {
      return refuse("two regions overlap in the VMM's address space");
    }
    if (regions[i].page_bytes != regions[0].page_bytes) {
      return refuse("the regions have different page sizes");
    }
  }
  return {};
}

Result<HandshakeReceiver::State> HandshakeReceiver::receive(int socket) {
  std::array<std::byte, 64 * 1024> buffer;
  while (true) {
    ASSIGN_OR_RETURN(Received received, receive_with_fds(socket, buffer));
    for (Fd& fd : received.fds) fds_.push_back(std::move(fd));
    if (received.would_block) return State::kIncomplete;
    if (received.truncated) {
      return refuse("more descriptors came than a VMM has to send");
    }
    if (received.end) {
      return refuse(text_.empty() ? "the client closed without a word"
                                  : "the client closed in the middle of it");
    }
    text_ += as_text(ByteSpan(buffer).first(received.bytes));
    if (text_.size() > kHandshakeBytesMax) {
      return refuse("it is longer than " + std::to_string(kHandshakeBytesMax) + " bytes");
    }
    ASSIGN_OR_RETURN(const State state, scan());
    if (state == State::kComplete) return state;
  }
}

// The message has no length and no end mark: it is complete when its outermost bracket closes.
Result<HandshakeReceiver::State> HandshakeReceiver::scan() {
  for (; scanned_ < text_.size(); ++scanned_) {
    const char c = text_[scanned_];
    if (depth_ == 0) {
      if (kSpace.find(c) != std::string_view::npos) continue;
      if (c != '[' && c != '{') return refuse("it is not JSON");
      depth_ = 1;
    } else if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '[' || c == '{') {
      ++depth_;
    } else if (c == ']' || c == '}') {
      if (--depth_ == 0) {
        text_.resize(scanned_ + 1);  // what follows is another message, of a newer protocol
        return State::kComplete;
      }
    }
  }
  return State::kIncomplete;
}

bool HandshakeReceiver::has_uffd() const {
  return std::any_of(fds_.begin(), fds_.end(), [](const Fd& fd) { return is_uffd(fd.get()); });
}

Result<Handshake> HandshakeReceiver::finish(uint64_t image_bytes) {
  Handshake handshake;
  ASSIGN_OR_RETURN(ParsedRegions parsed, parse_regions(text_));
  handshake.regions = std::move(parsed.regions);
  handshake.keeps_socket = parsed.keeps_socket;
  TRY(validate_regions(handshake.regions, image_bytes));
  if (fds_.empty()) return refuse("no descriptor came with it; the userfaultfd must");
  if (fds_.size() > 2) {
    // uffd, guest_memfd and bitmap: the secret-free protocol.
    return fail(ErrorCode::kUnsupported,
                "handshake refused: " + std::to_string(fds_.size()) +
                    " descriptors came; one userfaultfd is expected, and a memfd is tolerated");
  }
  if (!is_uffd(fds_[0].get())) return refuse("its descriptor is not a userfaultfd");
  handshake.uffd = Uffd(std::move(fds_[0]));
  fds_.clear();
  return handshake;
}

}  // namespace thaw
