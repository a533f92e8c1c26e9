// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/snapshot_mount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/mount/fuse_server.h"
#include "thaw/mount/mountpoint.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

constexpr unsigned kThreadsMax = 256;
constexpr uint32_t kReadaheadKbMax = 64 * 1024;
/// Far above what the kernel takes; nothing but a message of libfuse hangs on it.
constexpr int kConnectionEndMs = 1000;

// What libfuse said last on this thread: it reports why a mount failed in no other way.
thread_local std::string last_words;

void hear_libfuse(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  last_words = line.data();
  while (!last_words.empty() && last_words.back() == '\n') last_words.pop_back();
  log(level <= FUSE_LOG_ERR ? LogLevel::kWarning : LogLevel::kInfo, "libfuse: " + last_words);
}

Result<Fd> epoll_of(int fuse_fd, int quit_event) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("cannot make an epoll descriptor", errno);
  // Exclusive: one request wakes one thread. All of them hear of the end.
  epoll_event request{};
  request.events = EPOLLIN | EPOLLEXCLUSIVE;
  request.data.fd = fuse_fd;
  epoll_event quit{};
  quit.events = EPOLLIN;
  quit.data.fd = quit_event;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fuse_fd, &request) != 0 ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, quit_event, &quit) != 0) {
    return fail_errno("cannot watch the FUSE device", errno);
  }
  return epoll;
}

}  // namespace

// The mount and the threads that serve it. libfuse's own loop is not used: it cannot be stopped
// from outside while files are open, other than by cancelling its threads wherever they are.
class SnapshotMount::Session {
 public:
  static Result<std::unique_ptr<Session>> create(const MountOptions& options,
                                                 const SnapshotOrigin& origin,
                                                 const std::string& mountpoint);
  ~Session() {
    unmount();
    if (fuse_ != nullptr) fuse_session_destroy(fuse_);
  }

  Result<void> run();
  void stop() { notify(stop_event_.get()); }
  const FuseServer& server() const { return *server_; }

 private:
  explicit Session(const MountOptions& options) : options_(options) {}

  Result<void> mount(const SnapshotOrigin& origin);
  Result<void> start_workers();
  void serve(int epoll);
  void tune();
  void wait_for_end();
  void clean_stained();
  void wait_for_connection_end();
  void unmount();

  const MountOptions options_;
  std::string mountpoint_;
  dev_t device_ = 0;
  bool mounted_ = false;
  bool ran_ = false;
  Fd stop_event_;     // stop() was called
  Fd ended_event_;    // a worker found that the file system is gone
  Fd quit_event_;     // the workers are to return
  Fd stained_event_;  // server_ has stained inodes
  std::unique_ptr<FuseServer> server_;
  fuse_session* fuse_ = nullptr;
  std::vector<Fd> epolls_;
  std::vector<std::thread> workers_;
};

Result<std::unique_ptr<SnapshotMount::Session>> SnapshotMount::Session::create(
    const MountOptions& options, const SnapshotOrigin& origin, const std::string& mountpoint) {
  TRY(options.validate());
  TRY(validate_name("tenant", origin.keys.tenant()));
  std::unique_ptr<Session> session(new Session(options));
  ASSIGN_OR_RETURN(session->mountpoint_, check_mountpoint(mountpoint));
  TRY(check_fuse_device());
  for (Fd* event : {&session->stop_event_, &session->ended_event_, &session->quit_event_,
                    &session->stained_event_}) {
    ASSIGN_OR_RETURN(*event, event_fd());
  }
  TRY(session->mount(origin));
  return session;
}

Result<void> SnapshotMount::Session::mount(const SnapshotOrigin& origin) {
  server_ = std::make_unique<FuseServer>(options_, origin, stained_event_.get());
  fuse_set_log_func(hear_libfuse);
  std::string name = "thaw";
  std::string flag = "-o";
  // The kernel checks modes. A tenant's name has no comma (validate_name).
  std::string mount_options =
      "default_permissions,nosuid,nodev,noexec,noatime,subtype=thaw,fsname=" +
      origin.keys.tenant() + (options_.allow_other ? ",allow_other" : "");
  std::array<char*, 3> arguments = {name.data(), flag.data(), mount_options.data()};
  fuse_args parsed{};
  parsed.argc = static_cast<int>(arguments.size());
  parsed.argv = arguments.data();
  last_words.clear();
  fuse_ = fuse_session_new(&parsed, &FuseServer::operations(), sizeof(fuse_lowlevel_ops),
                           server_.get());
  fuse_opt_free_args(&parsed);
  if (fuse_ == nullptr) {
    return fail(ErrorCode::kUnsupported, "libfuse refuses the session: " + last_words);
  }
  if (fuse_session_mount(fuse_, mountpoint_.c_str()) != 0) {
    return fail(ErrorCode::kDenied,
                "cannot mount on " + mountpoint_ + (last_words.empty() ? "" : ": ") + last_words +
                    "; run as root or install fusermount3, and in a container add the capability "
                    "SYS_ADMIN");
  }
  mounted_ = true;
  const int fd = fuse_session_fd(fuse_);
  if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) {
    return fail_errno("cannot make the FUSE device non-blocking", errno);
  }
  ASSIGN_OR_RETURN(device_, mounted_device(mountpoint_));
  return {};
}

Result<void> SnapshotMount::Session::start_workers() {
  for (unsigned i = 0; i < options_.threads; ++i) {
    ASSIGN_OR_RETURN(Fd epoll, epoll_of(fuse_session_fd(fuse_), quit_event_.get()));
    epolls_.push_back(std::move(epoll));
    try {
      workers_.emplace_back([this, watched = epolls_.back().get()] { serve(watched); });
    } catch (const std::system_error& error) {
      if (workers_.empty()) {
        return fail(ErrorCode::kExhausted, std::string("cannot start a thread: ") + error.what());
      }
      log_warning("only " + std::to_string(workers_.size()) + " of " +
                  std::to_string(options_.threads) + " threads serve the mount: " + error.what());
      break;
    }
  }
  return {};
}

void SnapshotMount::Session::serve(int epoll) {
  fuse_buf request{};  // libfuse allocates it at the first request and keeps it
  for (;;) {
    epoll_event event{};
    const int ready = ::epoll_wait(epoll, &event, 1, -1);
    if (ready < 0 && errno == EINTR) continue;
    CHECK(ready == 1);
    if (event.data.fd == quit_event_.get()) break;
    const int got = fuse_session_receive_buf(fuse_, &request);
    if (got == -EAGAIN || got == -EINTR) continue;  // another thread was faster
    if (got <= 0) break;                            // unmounted, or the connection was cut
    fuse_session_process_buf(fuse_, &request);
  }
  std::free(request.mem);
  notify(ended_event_.get());
}

void SnapshotMount::Session::tune() {
  if (options_.readahead_kb == 0 || options_.on_memory_read) return;
  // Asked with a question that the server has to answer: only then has the kernel digested the
  // handshake, which sets its own value.
  struct stat ignored{};
  if (::stat(mountpoint_.c_str(), &ignored) != 0) return;
  if (const Result<void> set = set_readahead_kb(device_, options_.readahead_kb); !set) {
    log_info("the mount keeps the kernel's readahead: " + set.error().message);
  }
}

void SnapshotMount::Session::wait_for_end() {
  std::array<pollfd, 3> entries = {{{stop_event_.get(), POLLIN, 0},
                                    {ended_event_.get(), POLLIN, 0},
                                    {stained_event_.get(), POLLIN, 0}}};
  for (;;) {
    const int ready = ::poll(entries.data(), entries.size(), -1);
    if (ready < 0 && errno == EINTR) continue;
    CHECK(ready > 0);
    if (entries[2].revents != 0) clean_stained();
    if (entries[0].revents != 0 || entries[1].revents != 0) return;
  }
}

void SnapshotMount::Session::clean_stained() {
  drain(stained_event_.get());
  for (const uint64_t inode : server_->take_stained()) {
    // Pages that are still dirty are handed to the server first, and refused, and then dropped.
    const int outcome = fuse_lowlevel_notify_inval_inode(fuse_, inode, 0, 0);
    if (outcome != 0 && outcome != -ENOENT) {
      log_error("cannot drop the cached pages of a file that was written to: " +
                errno_error("inval_inode", -outcome).message + "; unmount and mount again");
    }
  }
}

Result<void> SnapshotMount::Session::run() {
  CHECK(!ran_);
  ran_ = true;
  const Result<void> started = start_workers();
  if (started) {
    tune();
    wait_for_end();
    // Served meanwhile: an unmount may ask the server.
    const UnmountOutcome outcome = try_unmount(mountpoint_, device_);
    if (outcome == UnmountOutcome::kDone) wait_for_connection_end();
    if (outcome == UnmountOutcome::kBusy) {
      log_warning(mountpoint_ +
                  " is in use and is detached: who has its files open keeps the pages "
                  "that are cached and gets errors for the others");
    }
  }
  notify(quit_event_.get());
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  unmount();
  return started;
}

// The kernel ends the connection with the last reference to the mount, which may be a moment later
// if somebody was just looking at it. libfuse takes a connection that lasts for a mount that it has
// to take off, and complains on standard error when there is none.
void SnapshotMount::Session::wait_for_connection_end() {
  pollfd connection{fuse_session_fd(fuse_), 0, 0};
  ::poll(&connection, 1, kConnectionEndMs);  // an error is always told, and is the end
}

void SnapshotMount::Session::unmount() {
  if (!mounted_) return;
  mounted_ = false;
  // Closes the device, which ends the connection, so that nobody waits for an answer, and detaches
  // the mount unless the kernel says that it has gone.
  fuse_session_unmount(fuse_);
  // A connection that was cut through /sys/fs/fuse looks gone to libfuse, its mount is not.
  if (device_ != 0) detach(mountpoint_, device_);
}

Result<void> MountOptions::validate() const {
  if (threads == 0 || threads > kThreadsMax) {
    return fail(ErrorCode::kInvalid, "mount threads must be 1 to " + std::to_string(kThreadsMax));
  }
  if (!(name_timeout_s >= 0)) {
    return fail(ErrorCode::kInvalid, "the mount's name timeout must not be negative");
  }
  if (readahead_kb > kReadaheadKbMax) {
    return fail(ErrorCode::kInvalid,
                "the mount's readahead is at most " + std::to_string(kReadaheadKbMax) + " KiB");
  }
  return {};
}

SnapshotMount::SnapshotMount(std::unique_ptr<Session> session) : session_(std::move(session)) {}
SnapshotMount::~SnapshotMount() = default;

Result<std::unique_ptr<SnapshotMount>> SnapshotMount::create(const MountOptions& options,
                                                             const Catalog& catalog,
                                                             const KeyProvider& keys,
                                                             ChunkSource& source,
                                                             const std::string& mountpoint) {
  ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                   Session::create(options, {catalog, keys, source}, mountpoint));
  return std::unique_ptr<SnapshotMount>(new SnapshotMount(std::move(session)));
}

Result<void> SnapshotMount::run() { return session_->run(); }
void SnapshotMount::stop() { session_->stop(); }
const MountCounters& SnapshotMount::counters() const { return session_->server().counters(); }
size_t SnapshotMount::inodes() const { return session_->server().nodes().size(); }

}  // namespace thaw
