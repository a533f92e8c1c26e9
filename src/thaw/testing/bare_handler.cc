// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/bare_handler.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "thaw/base/units.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/pin_thread.h"
#include "thaw/sys/process.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

constexpr size_t kMessagesMax = 64;
constexpr size_t kHandshakeBytesMax = 64 * kKiB;

struct ServedRegion {
  uint64_t base = 0;
  uint64_t bytes = 0;
  const std::byte* source = nullptr;
  std::vector<bool> removed;  // by VMM page
};

class Handler final : public BareHandler {
 public:
  Handler(const BareHandlerOptions& options, Fd listener, Fd stop)
      : options_(options), listener_(std::move(listener)), stop_(std::move(stop)) {
    thread_ = std::thread([this] { run(); });
  }
  ~Handler() override { stop(); }

  Result<void> pin(int core) { return pin_thread(thread_.native_handle(), core); }

  const BareHandlerStats& stop() override {
    if (thread_.joinable()) {
      notify(stop_.get());
      thread_.join();
    }
    return stats_;
  }

 private:
  void run() {
    if (const Result<void> ready = take_handshake(); !ready) {
      if (ready.error().code != ErrorCode::kInterrupted) stats_.error = ready.error().message;
      return;
    }
    serve();
  }

  // False if it was told to stop.
  bool wait_readable(int fd) const {
    std::array<pollfd, 2> entries{{{fd, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    while (entries[0].revents == 0 && entries[1].revents == 0) {
      ::poll(entries.data(), entries.size(), -1);
    }
    return entries[1].revents == 0;
  }

  Result<void> take_handshake() {
    if (!wait_readable(listener_.get())) return fail(ErrorCode::kInterrupted, "stopped");
    connection_ = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection_) return fail_errno("cannot accept a VMM", errno);
    std::string body;
    std::vector<Fd> fds;
    std::array<std::byte, 4096> buffer;
    while (!nlohmann::json::accept(body)) {
      if (!wait_readable(connection_.get())) return fail(ErrorCode::kInterrupted, "stopped");
      ASSIGN_OR_RETURN(Received received, receive_with_fds(connection_.get(), buffer));
      if (received.end) return fail(ErrorCode::kInvalid, "the handshake is cut");
      body += as_text(ByteSpan(buffer).first(received.bytes));
      for (Fd& fd : received.fds) fds.push_back(std::move(fd));
      if (body.size() > kHandshakeBytesMax) return fail(ErrorCode::kInvalid, "endless handshake");
    }
    if (fds.empty()) return fail(ErrorCode::kInvalid, "the handshake has no descriptor");
    uffd_ = std::move(fds[0]);
    return take_regions(body);
  }

  Result<void> take_regions(const std::string& body) {
    try {
      for (const auto& element : nlohmann::json::parse(body)) {
        page_bytes_ = element.value("page_size", element.value("page_size_kib", kPageBytes));
        ServedRegion region;
        region.base = element.at("base_host_virt_addr").get<uint64_t>();
        region.bytes = element.at("size").get<uint64_t>();
        const auto offset = element.at("offset").get<uint64_t>();
        if (!is_power_of_two(page_bytes_) || region.bytes > options_.image.size() ||
            offset > options_.image.size() - region.bytes) {
          return fail(ErrorCode::kInvalid, "a region does not fit the image");
        }
        region.source = options_.image.data() + offset;
        region.removed.resize(region.bytes / page_bytes_);
        regions_.push_back(std::move(region));
      }
    } catch (const std::exception& error) {
      return fail(ErrorCode::kInvalid, std::string("the handshake is malformed: ") + error.what());
    }
    zeros_.resize(page_bytes_);
    return {};
  }

  // The whole hot path is here and in install(): three system calls a fault.
  void serve() {
    std::array<pollfd, 2> entries{{{uffd_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    std::array<uffd_msg, kMessagesMax> messages;
    while (stats_.error.empty()) {
      // What the kernel refused waits for the thread that removes, not for an event: let it run.
      if (!again_.empty()) std::this_thread::yield();
      ::poll(entries.data(), entries.size(), again_.empty() ? -1 : 0);
      if (entries[1].revents != 0) return;
      const ssize_t got = ::read(uffd_.get(), messages.data(), sizeof messages);
      const size_t count = got < 0 ? 0 : static_cast<size_t>(got) / sizeof(uffd_msg);
      // A fault may be read together with the REMOVE that came before it: first all the removes.
      for (size_t i = 0; i < count; ++i) {
        if (messages[i].event == UFFD_EVENT_REMOVE) note_remove(messages[i]);
      }
      if (!again_.empty()) {
        const std::vector<uint64_t> again = std::exchange(again_, {});
        for (const uint64_t address : again) install(address);
      }
      for (size_t i = 0; i < count; ++i) {
        if (messages[i].event != UFFD_EVENT_PAGEFAULT) continue;
        ++stats_.faults;
        stats_.write_faults += messages[i].arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WRITE;
        install(messages[i].arg.pagefault.address & ~(page_bytes_ - 1));
      }
    }
  }

  ServedRegion* region_of(uint64_t address) {
    for (ServedRegion& region : regions_) {
      if (address - region.base < region.bytes) return &region;
    }
    return nullptr;
  }

  void note_remove(const uffd_msg& message) {
    ++stats_.removes;
    if (options_.forget_removes) return;
    for (uint64_t at = message.arg.remove.start; at < message.arg.remove.end; at += page_bytes_) {
      if (ServedRegion* region = region_of(at)) {
        region->removed[(at - region->base) / page_bytes_] = true;
      }
    }
  }

  void install(uint64_t address) {
    ServedRegion* region = region_of(address);
    if (region == nullptr) {
      stats_.error = "a fault outside of the regions";
      return;
    }
    const uint64_t into = address - region->base;
    const bool zero = region->removed[into / page_bytes_];
    uffdio_copy request{};
    request.dst = address;
    // SAFETY: the kernel reads one page of the image, which holds the whole region.
    request.src = reinterpret_cast<uint64_t>(zero ? zeros_.data() : region->source + into);
    request.len = page_bytes_;
    if (::ioctl(uffd_.get(), UFFDIO_COPY, &request) == 0) {
      ++(zero ? stats_.zero_pages : stats_.image_pages);
      return;
    }
    settle(address, errno);
  }

  void settle(uint64_t address, int error_number) {
    switch (error_number) {
      case EAGAIN:  // a REMOVE waits to be read, or is being carried out
        ++stats_.tried_again;
        again_.push_back(address);
        return;
      case EEXIST: {
        ++stats_.present;
        uffdio_range range{address, page_bytes_};
        ::ioctl(uffd_.get(), UFFDIO_WAKE, &range);
        return;
      }
      case ENOENT:  // no longer registered memory: nobody waits there
        ++stats_.unmapped;
        return;
      case ESRCH:  // the VMM has ended; stop() will come
        return;
      default:
        stats_.error = errno_error("cannot install a page", error_number).message;
    }
  }

  const BareHandlerOptions options_;
  Fd listener_;
  Fd stop_;
  Fd connection_;
  Fd uffd_;
  uint64_t page_bytes_ = kPageBytes;
  std::vector<ServedRegion> regions_;
  Bytes zeros_;
  std::vector<uint64_t> again_;  // faults that the kernel would not serve yet
  BareHandlerStats stats_;       // the thread's until it is joined
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<BareHandler>> BareHandler::start(const BareHandlerOptions& options) {
  ASSIGN_OR_RETURN(Fd listener, listen_unix(options.socket_path));
  ASSIGN_OR_RETURN(Fd stop, event_fd());
  auto handler = std::make_unique<Handler>(options, std::move(listener), std::move(stop));
  if (options.core >= 0) TRY(handler->pin(options.core));
  return std::unique_ptr<BareHandler>(std::move(handler));
}

}  // namespace thaw
