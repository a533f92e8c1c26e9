// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/finding.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/digest.h"
#include "thaw/sys/cpu_info.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/process.h"

// Linux 6.1; Debian 12's headers lack it.
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace thaw {
namespace {

/// A text file of /proc or /sys; empty if it cannot be read.
std::string read_text(const std::string& path) {
  const Result<Fd> fd = open_file(path, O_RDONLY);
  if (!fd) return "";
  // Such files have no size: read until the end comes.
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(fd->get(), piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<size_t>(got));
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Finding examine_kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0;
  int minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  const std::string found = std::string(name.sysname) + " " + name.release + " " + name.machine;
  if (std::pair(major, minor) < std::pair(5, 10)) {
    return {"kernel", Health::kFail, found, "thaw needs Linux 5.10; 6.6 and later are best"};
  }
  if (std::pair(major, minor) < std::pair(6, 6)) {
    return {"kernel", Health::kWarn, found,
            "works; Linux 6.6 and later can also poison a page that cannot be had"};
  }
  return {"kernel", Health::kOk, found, ""};
}

/// The features that a fresh descriptor offers; nullopt if it cannot be had.
std::optional<uint64_t> features_of(const Fd& fd) {
  uffdio_api api{};
  api.api = UFFD_API;
  if (!fd || ::ioctl(fd.get(), UFFDIO_API, &api) != 0) return std::nullopt;
  return api.features;
}

struct Feature {
  const char* name;
  unsigned bit;
  Health if_missing;
};
// include/uapi/linux/userfaultfd.h; the headers of the build machine may lack the later ones.
constexpr Feature kFeatures[] = {
    {"EVENT_REMOVE", 3, Health::kFail},  {"MISSING_HUGETLBFS", 4, Health::kWarn},
    {"MISSING_SHMEM", 5, Health::kWarn}, {"THREAD_ID", 8, Health::kWarn},
    {"EXACT_ADDRESS", 11, Health::kOk},  {"WP_HUGETLBFS_SHMEM", 12, Health::kOk},
    {"WP_UNPOPULATED", 13, Health::kOk}, {"POISON", 14, Health::kWarn},
    {"WP_ASYNC", 15, Health::kWarn},     {"MOVE", 16, Health::kWarn},
};

Finding examine_features(uint64_t features) {
  std::string present;
  std::string missing;
  Health health = Health::kOk;
  for (const Feature& feature : kFeatures) {
    const bool has = (features >> feature.bit & 1) != 0;
    (has ? present : missing) += std::string(" ") + feature.name;
    if (!has) health = std::max(health, feature.if_missing);
  }
  if (missing.empty()) return {"userfaultfd features", health, "all:" + present, ""};
  return {"userfaultfd features", health, "missing:" + missing + "; present:" + present,
          health == Health::kOk ? "" : "a newer kernel has them"};
}

void examine_uffd(std::vector<Finding>& findings) {
  Fd by_device;
  const Fd device(::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  int error_number = errno;
  if (device) {
    by_device = Fd(::ioctl(device.get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
    error_number = errno;
  }
  const auto device_features = features_of(by_device);
  const std::string device_error = std::strerror(error_number);
  const Fd by_call(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
  const std::string call_error = std::strerror(errno);
  const auto call_features = features_of(by_call);

  // The VMM makes the descriptor: what counts is that it can by one way or the other.
  const Health without = device_features || call_features ? Health::kWarn : Health::kFail;
  findings.push_back({"/dev/userfaultfd", device_features ? Health::kOk : without,
                      device_features ? "works" : device_error,
                      device_features ? "" : "allow the VMM's user to open it (mode or group)"});
  findings.push_back(
      {"userfaultfd()", call_features ? Health::kOk : without, call_features ? "works" : call_error,
       call_features ? "" : "root may, or set vm.unprivileged_userfaultfd=1, or use the device"});
  if (device_features || call_features) {
    findings.push_back(examine_features(device_features ? *device_features : *call_features));
  }
}

bool is_executable_in_path(const std::string& program) {
  for (const char* folder : {"/usr/bin/", "/bin/", "/usr/local/bin/", "/usr/sbin/", "/sbin/"}) {
    if (::access((folder + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

void examine_fuse(std::vector<Finding>& findings) {
  const Fd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  const std::string error = std::strerror(errno);
  findings.push_back({"/dev/fuse", device ? Health::kOk : Health::kWarn, device ? "opens" : error,
                      device ? ""
                             : "`thaw mount` needs it: load the module fuse, or pass the "
                               "device into the container"});
  const bool root = ::geteuid() == 0;
  const bool helper = is_executable_in_path("fusermount3");
  const bool others = read_text("/etc/fuse.conf").find("\nuser_allow_other") != std::string::npos ||
                      read_text("/etc/fuse.conf").starts_with("user_allow_other");
  findings.push_back({"fuse mounts", root || helper ? Health::kOk : Health::kWarn,
                      std::string(root ? "root" : "not root") + ", fusermount3 " +
                          (helper ? "found" : "missing") + ", user_allow_other " +
                          (others ? "set" : "not set"),
                      root || helper ? "" : "install fuse3, or run `thaw mount` as root"});
}

void examine_limits(std::vector<Finding>& findings) {
  const std::string pages = read_text("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
  const std::string free = read_text("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  const bool some = !pages.empty() && pages != "0";
  findings.push_back({"huge pages", Health::kOk,
                      pages.empty() ? "the kernel has none of 2 MiB"
                                    : pages + " of 2 MiB reserved, " + free + " free",
                      some ? "" : "only VMs on hugetlb memory need them: vm.nr_hugepages"});

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const bool few = files.rlim_cur < 4096;
  findings.push_back({"open files", few ? Health::kWarn : Health::kOk,
                      "RLIMIT_NOFILE " + std::to_string(files.rlim_cur),
                      few ? "raise it to 4096 or more for many sessions: ulimit -n 4096" : ""});

  rlimit locked{};
  ::getrlimit(RLIMIT_MEMLOCK, &locked);
  const bool endless = locked.rlim_cur == RLIM_INFINITY || ::geteuid() == 0;
  const bool little = !endless && locked.rlim_cur < kMiB;
  findings.push_back(
      {"locked memory", little ? Health::kWarn : Health::kOk,
       "RLIMIT_MEMLOCK " + (locked.rlim_cur == RLIM_INFINITY ? std::string("unlimited")
                                                             : human_bytes(locked.rlim_cur)),
       little ? "keys beyond it may be swapped out: ulimit -l 8192" : ""});

  const std::string maps = read_text("/proc/sys/vm/max_map_count");
  const Result<uint64_t> count = parse_count(maps, 0, UINT64_MAX);
  const bool low = !count || *count < 65530;
  findings.push_back({"memory maps", low ? Health::kWarn : Health::kOk,
                      "vm.max_map_count " + (maps.empty() ? "unknown" : maps),
                      low ? "65530 is the kernel's default: sysctl vm.max_map_count=65530" : ""});

  const Result<Fd> self = open_pidfd(::getpid());
  findings.push_back({"pidfd", self ? Health::kOk : Health::kWarn,
                      self ? "works" : self.error().message,
                      self ? "" : "without it the end of a VMM is seen by its socket only"});
}

/// Bytes a second of `work`, which handles `bytes` a call: the best of several short rounds,
/// because other work on the machine only ever slows it down.
template <typename Work>
double rate_of(uint64_t bytes, Work&& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int round = 0; round < 8; ++round) {
    const auto began = Clock::now();
    uint64_t done = 0;
    double seconds = 0;
    do {
      work();
      done += bytes;
      seconds = std::chrono::duration<double>(Clock::now() - began).count();
    } while (seconds < 0.01);
    best = std::max(best, static_cast<double>(done) / seconds);
  }
  return best;
}

std::string gigabytes(double rate) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB/s", rate / 1e9);
  return text;
}

void examine_processor(std::vector<Finding>& findings) {
  const std::set<std::string> flags = cpu_flags();
  const auto has = [&](const char* x86, const char* arm) {
    return flags.contains(x86) || flags.contains(arm);
  };
  const bool aes = has("aes", "aes");
  const bool sha = has("sha_ni", "sha2");

  CtrCipher cipher;
  const Bytes key(kKeyBytes, std::byte{7});
  cipher.set_key(key);
  Bytes buffer(256 * kKiB);
  const double aes_rate = rate_of(buffer.size(), [&] { cipher.apply(0, buffer, buffer.data()); });
  Sha256 hash;
  const double sha_rate = rate_of(buffer.size(), [&] { hash.of(buffer); });
  findings.push_back({"AES", aes ? Health::kOk : Health::kWarn,
                      std::string("aes ") + (aes ? "yes" : "no") + ", vaes " +
                          (flags.contains("vaes") ? "yes" : "no") + ", AES-256-CTR " +
                          gigabytes(aes_rate) + " a core",
                      aes ? "" : "without AES instructions every page costs many times more"});
  findings.push_back({"SHA-256", sha ? Health::kOk : Health::kWarn,
                      std::string("sha_ni ") + (sha ? "yes" : "no") + ", SHA-256 " +
                          gigabytes(sha_rate) + " a core",
                      sha ? ""
                          : "hashing bounds freeze and verify; a processor with SHA "
                            "extensions is several times faster"});

  const bool virtualisation = flags.contains("vmx") || flags.contains("svm");
  const bool device = ::access("/dev/kvm", R_OK | W_OK) == 0;
  findings.push_back(
      {"kvm", device && virtualisation ? Health::kOk : Health::kWarn,
       std::string("/dev/kvm ") + (device ? "opens" : "is not usable") + ", vmx or svm " +
           (virtualisation ? "yes" : "no"),
       device && virtualisation
           ? ""
           : (device ? "a guest would be emulated, slowly; thaw itself does not need KVM"
                     : "VMMs need it; thaw itself does not")});
}

}  // namespace

std::vector<Finding> examine_machine() {
  std::vector<Finding> findings{examine_kernel()};
  examine_uffd(findings);
  examine_fuse(findings);
  examine_limits(findings);
  examine_processor(findings);
  return findings;
}

}  // namespace thaw
