// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/machine_needs.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <set>

#include "thaw/sys/child_process.h"
#include "thaw/sys/cpu_info.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/file_system.h"
#include "thaw/sys/uffd.h"

namespace thaw {
namespace {

std::string need(size_t cells, const std::string& what) {
  return std::to_string(cells) + (cells == 1 ? " cell needs " : " cells need ") + what;
}

Result<void> check_uffd(size_t cells) {
  // The VMMs make it, as processes of the same user.
  Result<Uffd> uffd = Uffd::create(UFFD_FEATURE_EVENT_REMOVE);
  if (uffd) return {};
  return fail(std::move(uffd).error().with_context(need(cells, "userfaultfd")));
}

/// Whether mount(2) is allowed to this process.
bool may_mount() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("CapEff:")) continue;
    const uint64_t effective = std::strtoull(line.c_str() + sizeof "CapEff:", nullptr, 16);
    return (effective >> CAP_SYS_ADMIN & 1) != 0;
  }
  return false;
}

Result<void> check_fuse(size_t cells) {
  const Result<Fd> device = open_file("/dev/fuse", O_RDWR);
  if (!device) {
    const bool denied = device.error().code == ErrorCode::kDenied;
    return fail(denied ? ErrorCode::kDenied : ErrorCode::kUnsupported,
                need(cells, "a FUSE mount") + ": " + device.error().message + "; " +
                    (denied ? "run as root, or allow the device to this user"
                            : "load the module fuse, or pass the device into the container"));
  }
  if (may_mount() || !find_program("fusermount3").empty()) return {};
  return fail(ErrorCode::kDenied, need(cells, "a FUSE mount") +
                                      ", and this user may not mount; run as root, or install "
                                      "fusermount3 (Debian package fuse3)");
}

Result<void> check_program(size_t cells, const std::string& name, const std::string& install,
                           const std::string& instead) {
  if (!find_program(name).empty()) return {};
  return fail(ErrorCode::kUnsupported,
              need(cells, name) + ", and there is no such program in PATH; install " + install +
                  ", or leave " + instead + " out of the scenario");
}

/// Whether the processor runs guests itself. Where it does not there may be a /dev/kvm all the
/// same, which emulates each instruction.
bool hardware_virtualises() {
  const std::set<std::string> flags = cpu_flags();
  return flags.contains("vmx") || flags.contains("svm");
}

Result<void> check_firecracker(size_t cells) {
  TRY(check_program(cells, "firecracker", "a release of Firecracker, v1.12 or later",
                    "driver firecracker"));
  const std::string who = need(cells, "KVM for Firecracker");
  const Result<Fd> device = open_file("/dev/kvm", O_RDWR);
  if (!device) {
    const bool denied = device.error().code == ErrorCode::kDenied;
    return fail(denied ? ErrorCode::kDenied : ErrorCode::kUnsupported,
                who + ": " + device.error().message + "; " +
                    (denied ? "run as root, or add this user to the group kvm"
                            : "load the module kvm_intel or kvm_amd, or pass the device into the "
                              "container"));
  }
  if (hardware_virtualises()) return {};
  return fail(ErrorCode::kUnsupported,
              who +
                  ", and the processor does not virtualise (no flag vmx or svm in "
                  "/proc/cpuinfo): /dev/kvm only emulates, far too slowly to measure anything; "
                  "use a machine with hardware virtualisation, or allow nested guests on its "
                  "host, or leave driver firecracker out of the scenario");
}

}  // namespace

MachineNeeds needs_of(std::span<const Cell> cells) {
  MachineNeeds needs;
  for (const Cell& cell : cells) {
    const bool served = !is_kernels(cell.technique);
    const bool mounted = cell.frontend == LabFrontend::kMount;
    if (served && !mounted) ++needs.uffd;
    if (mounted) ++needs.fuse;
    if (cell.tier == LabTier::kZone || cell.tier == LabTier::kEmptyFleet) ++needs.memcached;
    if (cell.driver == LabDriver::kQemu) ++needs.qemu;
    if (cell.driver == LabDriver::kFirecracker) ++needs.firecracker;
    // The study's server reads its files so; thaw's disk cache does without where it must, but is
    // then another thing than what is measured elsewhere.
    if (served && (!is_ours(cell.technique) || cell.tier == LabTier::kLocal)) ++needs.direct_io;
  }
  return needs;
}

Result<void> check_machine(const MachineNeeds& needs) {
  if (needs.uffd > 0) TRY(check_uffd(needs.uffd));
  if (needs.fuse > 0) TRY(check_fuse(needs.fuse));
  if (needs.memcached > 0) {
    TRY(check_program(needs.memcached, "memcached", "the Debian package memcached",
                      "tiers zone and empty_fleet"));
  }
  if (needs.qemu > 0) {
    TRY(check_program(needs.qemu, "qemu-system-x86_64", "the Debian package qemu-system-x86",
                      "driver qemu"));
  }
  if (needs.firecracker > 0) TRY(check_firecracker(needs.firecracker));
  return {};
}

Result<void> check_direct_io(const std::string& directory, size_t cells) {
  std::string path = directory + "/.thaw-lab-XXXXXX";
  const Fd made(::mkostemp(path.data(), O_CLOEXEC));
  if (!made) return fail_errno("cannot make a file in " + directory, errno);
  // Opened again: where it is refused at making, the file may be left.
  const Fd direct(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  const int error = errno;
  ::unlink(path.c_str());
  if (direct) return {};
  if (error != EINVAL) return fail_errno("cannot open a file in " + directory, error);
  return fail(ErrorCode::kUnsupported, need(cells, "direct I/O") + ", which the file system of " +
                                           directory + " (" + file_system_of(directory) +
                                           ") has not; choose an --output on a local disk");
}

}  // namespace thaw
