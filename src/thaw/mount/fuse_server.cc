// SPDX-License-Identifier: Apache-2.0
#include "thaw/mount/fuse_server.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "thaw/base/log.h"
#include "thaw/base/units.h"
#include "thaw/mount/sparse.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

// The largest read the kernel sends to libfuse 3.14: 256 pages.
constexpr size_t kReadBytesMax = 1 << 20;
// Reads ahead that the kernel may have under way, and where it begins to call that congestion.
constexpr unsigned kBackgroundMax = 64;
constexpr unsigned kCongestionThreshold = 48;
// What an inode shows never changes; a day saves the questions without meaning forever.
constexpr double kContentTimeoutS = 86400;
constexpr size_t kNameBytesMax = 128;  // catalog names; disk names are shorter

int errno_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      return ENOENT;
    case ErrorCode::kDenied:
      return EACCES;
    default:
      return EIO;
  }
}

/// The answer to a request about a directory; says in the log what is no plain "not there".
int refuse(const Node& directory, const std::string& what, const Error& error) {
  const int number = errno_of(error);
  if (number != ENOENT)
    log_error("cannot " + what + " in " + directory.describe() + ": " + error.message);
  return number;
}

}  // namespace

// The functions that libfuse calls. Each answers its request exactly once.
struct FuseServer::Operations {
  static FuseServer& server(fuse_req_t request) {
    return *static_cast<FuseServer*>(fuse_req_userdata(request));
  }

  static void init(void* user_data, fuse_conn_info* connection) {
    // A limit of the handshake, so that it needs no right to change the device's readahead.
    if (static_cast<FuseServer*>(user_data)->options_.on_memory_read) connection->max_readahead = 0;
    connection->want |= connection->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS);
    // Splicing moves pages that the server gives away; ours is one buffer that is used again, so a
    // copy is what is cheapest. Content never changes, so nothing has to be invalidated by time
    // stamps. A listing with attributes would resolve every name. Writes are refused, so the kernel
    // must not collect them.
    connection->want &=
        ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                               FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS |
                               FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE);
    connection->max_background = kBackgroundMax;
    connection->congestion_threshold = kCongestionThreshold;
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    FuseServer& self = server(request);
    const auto directory = self.nodes_.find(parent);
    if (directory == nullptr) return reply_error(request, ESTALE);
    Result<Node> child = self.tree_.child(*directory, name);
    if (!child) {
      return reply_error(request,
                         refuse(*directory, "look up " + std::string(name), child.error()));
    }
    fuse_entry_param entry{};
    entry.attr = self.attributes(*child);
    entry.attr_timeout = kContentTimeoutS;
    entry.entry_timeout =
        directory->kind == NodeKind::kRoot ? self.options_.name_timeout_s : kContentTimeoutS;
    entry.ino = self.nodes_.look_up(std::move(*child));
    // An answer that came too late was not counted by the kernel.
    if (fuse_reply_entry(request, &entry) != 0) self.nodes_.forget(entry.ino, 1);
  }

  static void forget(fuse_req_t request, fuse_ino_t id, uint64_t lookups) {
    server(request).nodes_.forget(id, lookups);
    fuse_reply_none(request);
  }

  static void forget_multi(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    FuseServer& self = server(request);
    for (const fuse_forget_data& one : std::span(forgets, count)) {
      self.nodes_.forget(one.ino, one.nlookup);
    }
    fuse_reply_none(request);
  }

  static void getattr(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
    FuseServer& self = server(request);
    const auto node = self.nodes_.find(id);
    if (node == nullptr) return reply_error(request, ESTALE);
    const struct stat attributes = self.attributes(*node);
    fuse_reply_attr(request, &attributes, kContentTimeoutS);
  }

  static void open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    const int access = file->flags & O_ACCMODE;
    // Whoever opens for writing only, or truncates, means to change the content.
    if (access == O_WRONLY || (file->flags & O_TRUNC) != 0) return reply_error(request, EROFS);
    file->keep_cache = 1;
    file->noflush = 1;
    file->direct_io = access == O_RDWR && server(request).options_.isolate_writers;
    fuse_reply_open(request, file);
  }

  static void read(fuse_req_t request, fuse_ino_t id, size_t size, off_t at, fuse_file_info*) {
    FuseServer& self = server(request);
    const auto node = self.file_of(id);
    if (node == nullptr) return reply_error(request, ESTALE);
    const uint64_t bytes = node->opened->image(node->image).bytes;
    const uint64_t offset = static_cast<uint64_t>(at);
    if (offset >= bytes) return void(fuse_reply_buf(request, nullptr, 0));
    // A reply that is shorter than that would tell the kernel that the file ends there.
    const size_t count = static_cast<size_t>(std::min<uint64_t>(size, bytes - offset));
    self.tell_of_read(*node, offset, count);
    SecretBytes buffer = self.take_buffer(count);
    const Result<void> done =
        node->opened->reader(node->image).read(offset, buffer.span().first(count));
    if (done) {
      self.counters_.reads.fetch_add(1, std::memory_order_relaxed);
      self.counters_.read_bytes.fetch_add(count, std::memory_order_relaxed);
      // SAFETY: char may alias any object; libfuse copies from the buffer before it returns.
      fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), count);
    } else {
      self.counters_.read_errors.fetch_add(1, std::memory_order_relaxed);
      log_error("cannot read " + std::to_string(count) + " bytes at byte " +
                std::to_string(offset) + " of " + node->describe() +
                "; the reader gets EIO: " + done.error().message);
      reply_error(request, EIO);
    }
    self.return_buffer(std::move(buffer));
  }

  static void write(fuse_req_t request, fuse_ino_t id, const char*, size_t, off_t at,
                    fuse_file_info* file) {
    FuseServer& self = server(request);
    // Answered first: until then the kernel counts the page as under way and cannot drop it.
    const bool from_page_cache = file->writepage != 0;
    reply_error(request, EROFS);
    if (!from_page_cache) return;
    const auto node = self.nodes_.find(id);
    if (node == nullptr) return;
    self.counters_.refused_stores.fetch_add(1, std::memory_order_relaxed);
    const bool is_new =
        self.stained_.with([&](std::set<uint64_t>& stained) { return stained.insert(id).second; });
    if (!is_new) return;
    log_error("a process wrote to " + node->describe() + " at byte " + std::to_string(at) +
              " through a shared mapping: refused, and its cached pages are dropped; map it "
              "private (QEMU: share=off)");
    notify(self.stained_event_);
  }

  static void opendir(fuse_req_t request, fuse_ino_t id, fuse_file_info* file) {
    FuseServer& self = server(request);
    const auto directory = self.nodes_.find(id);
    if (directory == nullptr) return reply_error(request, ESTALE);
    Result<Listing> listed = self.tree_.list(*directory);
    if (!listed) {
      const int number = refuse(*directory, "list what is", listed.error());
      return reply_error(request, number);
    }
    Listing entries = {{".", true, directory->inode_number()},
                       {"..", true, FileTree::kUnknownInode}};
    std::move(listed->begin(), listed->end(), std::back_inserter(entries));
    file->fh = self.listings_.with([&](Listings& listings) {
      listings.by_handle[listings.next] = std::make_shared<const Listing>(std::move(entries));
      return listings.next++;
    });
    if (fuse_reply_open(request, file) != 0) self.drop_listing(file->fh);
  }

  static void readdir(fuse_req_t request, fuse_ino_t, size_t size, off_t position,
                      fuse_file_info* file) {
    const std::shared_ptr<const Listing> found = server(request).listing_of(file->fh);
    if (found == nullptr) return reply_error(request, EBADF);
    const Listing& listing = *found;
    std::vector<char> reply(size);
    size_t used = 0;
    for (size_t i = static_cast<size_t>(position); i < listing.size(); ++i) {
      struct stat attributes{};
      attributes.st_ino = listing[i].inode_number;
      attributes.st_mode = listing[i].is_directory ? S_IFDIR : S_IFREG;
      const size_t need =
          fuse_add_direntry(request, reply.data() + used, size - used, listing[i].name.c_str(),
                            &attributes, static_cast<off_t>(i + 1));
      if (need > size - used) break;
      used += need;
    }
    fuse_reply_buf(request, reply.data(), used);
  }

  static void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    server(request).drop_listing(file->fh);
    reply_error(request, 0);
  }

  static void statfs(fuse_req_t request, fuse_ino_t) {
    struct statvfs status{};  // no blocks at all: nothing can be written, and df leaves it out
    status.f_bsize = kPageBytes;
    status.f_frsize = kPageBytes;
    status.f_files = server(request).nodes_.size();
    status.f_namemax = kNameBytesMax;
    fuse_reply_statfs(request, &status);
  }

  static void lseek(fuse_req_t request, fuse_ino_t id, off_t offset, int whence, fuse_file_info*) {
    const auto node = server(request).file_of(id);
    if (node == nullptr) return reply_error(request, ESTALE);
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return reply_error(request, EINVAL);
    if (offset < 0) return reply_error(request, ENXIO);
    const Image& image = node->opened->image(node->image);
    const std::optional<uint64_t> found = whence == SEEK_DATA
                                              ? seek_data(image, static_cast<uint64_t>(offset))
                                              : seek_hole(image, static_cast<uint64_t>(offset));
    if (!found) return reply_error(request, ENXIO);
    fuse_reply_lseek(request, static_cast<off_t>(*found));
  }

  // Everything that would change something, whatever its other arguments.
  template <typename... Arguments>
  static void refuse_change(fuse_req_t request, Arguments...) {
    reply_error(request, EROFS);
  }

 private:
  static void reply_error(fuse_req_t request, int number) { fuse_reply_err(request, number); }
};

const fuse_lowlevel_ops& FuseServer::operations() {
  static const fuse_lowlevel_ops table = [] {
    fuse_lowlevel_ops made{};
    made.init = Operations::init;
    made.lookup = Operations::lookup;
    made.forget = Operations::forget;
    made.forget_multi = Operations::forget_multi;
    made.getattr = Operations::getattr;
    made.open = Operations::open;
    made.read = Operations::read;
    made.write = Operations::write;
    made.opendir = Operations::opendir;
    made.readdir = Operations::readdir;
    made.releasedir = Operations::releasedir;
    made.statfs = Operations::statfs;
    made.lseek = Operations::lseek;
    made.setattr = Operations::refuse_change;
    made.mknod = Operations::refuse_change;
    made.mkdir = Operations::refuse_change;
    made.unlink = Operations::refuse_change;
    made.rmdir = Operations::refuse_change;
    made.symlink = Operations::refuse_change;
    made.rename = Operations::refuse_change;
    made.link = Operations::refuse_change;
    made.create = Operations::refuse_change;
    made.fallocate = Operations::refuse_change;
    return made;
  }();
  return table;
}

FuseServer::FuseServer(const MountOptions& options, const SnapshotOrigin& origin, int stained_event)
    : options_(options),
      uid_(::geteuid()),
      gid_(::getegid()),
      made_at_([] {
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);
        return now;
      }()),
      stained_event_(stained_event),
      tree_(origin) {}

struct stat FuseServer::attributes(const Node& node) const {
  struct stat attributes{};
  attributes.st_ino = node.inode_number();
  attributes.st_uid = uid_;
  attributes.st_gid = gid_;
  attributes.st_blksize = kPageBytes;
  attributes.st_atim = attributes.st_mtim = attributes.st_ctim = made_at_;
  if (node.kind == NodeKind::kFile) {
    const Image& image = node.opened->image(node.image);
    attributes.st_mode = S_IFREG | (options_.allow_other ? 0644 : 0600);
    attributes.st_nlink = 1;
    attributes.st_size = static_cast<off_t>(image.bytes);
    attributes.st_blocks = static_cast<blkcnt_t>(data_blocks(image));
  } else {
    attributes.st_mode = S_IFDIR | (options_.allow_other ? 0755 : 0700);
    attributes.st_nlink = 2;
  }
  return attributes;
}

std::shared_ptr<const Node> FuseServer::file_of(uint64_t id) const {
  std::shared_ptr<const Node> node = nodes_.find(id);
  return node != nullptr && node->kind == NodeKind::kFile ? node : nullptr;
}

void FuseServer::tell_of_read(const Node& node, uint64_t offset, size_t count) const {
  if (!options_.on_memory_read || count == 0) return;
  if (node.opened->image(node.image).kind != ImageKind::kMemory) return;
  const uint64_t first = offset / kPageBytes;
  options_.on_memory_read(node.snapshot->target().manifest,
                          {first, (offset + count - 1) / kPageBytes - first + 1});
}

std::shared_ptr<const FuseServer::Listing> FuseServer::listing_of(uint64_t handle) const {
  return listings_.with([&](const Listings& listings) -> std::shared_ptr<const Listing> {
    const auto found = listings.by_handle.find(handle);
    return found == listings.by_handle.end() ? nullptr : found->second;
  });
}

void FuseServer::drop_listing(uint64_t handle) {
  listings_.with([&](Listings& listings) { listings.by_handle.erase(handle); });
}

SecretBytes FuseServer::take_buffer(size_t bytes) {
  if (bytes > kReadBytesMax) return SecretBytes(bytes);
  SecretBytes idle = idle_buffers_.with([](std::vector<SecretBytes>& buffers) {
    SecretBytes taken;
    if (!buffers.empty()) {
      taken = std::move(buffers.back());
      buffers.pop_back();
    }
    return taken;
  });
  return idle.empty() ? SecretBytes(kReadBytesMax) : std::move(idle);
}

void FuseServer::return_buffer(SecretBytes buffer) {
  if (buffer.size() != kReadBytesMax) return;
  idle_buffers_.with(
      [&](std::vector<SecretBytes>& buffers) { buffers.push_back(std::move(buffer)); });
}

std::set<uint64_t> FuseServer::take_stained() {
  return stained_.with(
      [](std::set<uint64_t>& stained) { return std::exchange(stained, std::set<uint64_t>{}); });
}

}  // namespace thaw
