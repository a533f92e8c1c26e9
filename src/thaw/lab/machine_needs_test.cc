// SPDX-License-Identifier: Apache-2.0
//
// What is missing is taken away for real: privileges from a child process, devices and programs
// from a mount namespace.
#include "thaw/lab/machine_needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>

#include "thaw/base/bytes.h"
#include "thaw/sys/child_process.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/uffd.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kNobody = 65534;

/// "denied: what it says" of a check in a child that has done `before`; empty if it finds nothing,
/// "skip" if `before` fails.
std::string error_in_child(const std::function<bool()>& before,
                           const std::function<Result<void>()>& check) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string text = "skip";
    if (before()) {
      const Result<void> checked = check();
      text = checked ? "" : to_string(checked.error().code) + (": " + checked.error().message);
    }
    const ssize_t put = ::write(ends[1], text.data(), text.size());
    ::_exit(put == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return text;
}

bool become_nobody() { return ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0; }

bool own_mounts() {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool hide_program(const std::string& name) {
  // Until PATH has no other.
  while (!find_program(name).empty()) {
    if (::mount("/dev/null", find_program(name).c_str(), nullptr, MS_BIND, nullptr) != 0) {
      return false;
    }
  }
  return true;
}

Cell cell_of(Technique technique) {
  Cell cell;
  cell.technique = technique;
  if (is_ours(technique)) cell.storage = LabStorage::kChunkedEncrypted;
  return cell;
}

TEST(MachineNeedsTest, OnlyWhatTheCellsNeedIsCounted) {
  Cell mounted = cell_of(Technique::kOnDemand);
  mounted.frontend = LabFrontend::kMount;
  Cell zone = cell_of(Technique::kHot);
  zone.tier = LabTier::kZone;
  Cell fleet = zone;
  fleet.tier = LabTier::kEmptyFleet;
  Cell memory = zone;
  memory.tier = LabTier::kMemory;
  Cell real = cell_of(Technique::kHot);
  real.driver = LabDriver::kQemu;
  Cell firecracker = real;
  firecracker.driver = LabDriver::kFirecracker;
  const auto needs = [](std::vector<Cell> cells) { return needs_of(cells); };
  EXPECT_EQ(needs({cell_of(Technique::kPresent), cell_of(Technique::kMapping)}), MachineNeeds{});
  EXPECT_EQ(needs({cell_of(Technique::kStudyReap)}), (MachineNeeds{.uffd = 1, .direct_io = 1}));
  EXPECT_EQ(needs({zone, fleet, memory}), (MachineNeeds{.uffd = 3, .memcached = 2}));
  EXPECT_EQ(needs({real}), (MachineNeeds{.uffd = 1, .qemu = 1, .direct_io = 1}));
  EXPECT_EQ(needs({firecracker}), (MachineNeeds{.uffd = 1, .firecracker = 1, .direct_io = 1}));
  EXPECT_EQ(needs({mounted}), (MachineNeeds{.fuse = 1, .direct_io = 1}));
  EXPECT_TRUE(check_machine({}));
}

TEST(MachineNeedsTest, NoLeaveToUseUserfaultfdIsTold) {
  const std::string told = error_in_child(become_nobody, [] { return check_machine({.uffd = 7}); });
  if (told == "skip" || told.empty()) GTEST_SKIP() << "SKIP: everybody may here, or not root";
  EXPECT_THAT(told, AllOf(HasSubstr("denied: "), HasSubstr("7 cells need userfaultfd"),
                          HasSubstr("/dev/userfaultfd"), HasSubstr("vm.unprivileged_userfaultfd=1"),
                          HasSubstr("run as root")));
}

TEST(MachineNeedsTest, NoFuseIsTold) {
  const auto check = [] { return check_machine({.fuse = 2}); };
  const std::string denied = error_in_child(become_nobody, check);
  const std::string missing = error_in_child(
      [] { return own_mounts() && ::mount("tmpfs", "/dev", "tmpfs", 0, "size=64k") == 0; }, check);
  if (missing == "skip") GTEST_SKIP() << "SKIP: a mount namespace is not permitted";
  EXPECT_THAT(missing, AllOf(HasSubstr("unsupported: "), HasSubstr("2 cells need a FUSE mount"),
                             HasSubstr("/dev/fuse"), HasSubstr("module fuse")));
  // Where everybody may open the device, fusermount3 mounts for everybody.
  if (!denied.empty()) {
    EXPECT_THAT(denied, AllOf(HasSubstr("denied: "), HasSubstr("FUSE"), HasSubstr("run as root")));
  }
}

TEST(MachineNeedsTest, AMissingProgramIsTold) {
  const auto told = [](const std::string& program, const MachineNeeds& needs) {
    return error_in_child([&] { return own_mounts() && hide_program(program); },
                          [&] { return check_machine(needs); });
  };
  const std::string memcached = told("memcached", {.memcached = 1});
  if (memcached == "skip") GTEST_SKIP() << "SKIP: a mount namespace is not permitted";
  EXPECT_THAT(memcached, AllOf(HasSubstr("unsupported: 1 cell needs memcached"),
                               HasSubstr("Debian package memcached"), HasSubstr("empty_fleet")));
  EXPECT_THAT(told("qemu-system-x86_64", {.qemu = 3}),
              AllOf(HasSubstr("3 cells need qemu-system-x86_64"),
                    HasSubstr("package qemu-system-x86,"), HasSubstr("driver qemu")));
  // Nobody asks for what is not needed.
  EXPECT_THAT(told("memcached", {.uffd = 0}), IsEmpty());
}

/// Another file in place of this one, in a mount namespace.
bool replace_by(const std::string& path, const std::string& other) {
  return ::mount(other.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

TEST(MachineNeedsTest, WhatFirecrackerLacksIsTold) {
  const TempDir fakes;
  const auto make = [&](const std::string& name, const std::string& text) {
    ASSERT_TRUE(replace_file(fakes.file(name), as_bytes(text), 0755));
  };
  make("firecracker", "#!/bin/sh\n");
  make("real", "processor: 0\nflags\t\t: fpu vmx sse\n");
  make("emulated", "processor: 0\nflags\t\t: fpu vmx_not svm_not sse\nbugs: svm\n");
  make("kvm", "");
  const auto told = [&](const std::string& cpuinfo, const std::string& kvm, bool program = true) {
    return error_in_child(
        [&] {
          if (!own_mounts() || !hide_program("firecracker")) return false;
          if (program) ::setenv("PATH", fakes.path().c_str(), 1);
          // What stands at /dev/kvm is taken away with all of /dev, or exchanged.
          if (::mount("tmpfs", "/dev", "tmpfs", 0, "size=64k") != 0) return false;
          if (!kvm.empty() && (!replace_file("/dev/kvm", {}, 0600) || !replace_by("/dev/kvm", kvm)))
            return false;
          return replace_by("/proc/cpuinfo", fakes.file(cpuinfo));
        },
        [] { return check_machine({.firecracker = 2}); });
  };
  const std::string missing = told("real", fakes.file("kvm"), false);
  if (missing == "skip") GTEST_SKIP() << "SKIP: a mount namespace is not permitted";
  EXPECT_THAT(missing, AllOf(HasSubstr("unsupported: 2 cells need firecracker"),
                             HasSubstr("in PATH"), HasSubstr("v1.12")));
  EXPECT_THAT(told("real", ""),
              AllOf(HasSubstr("unsupported: 2 cells need KVM for Firecracker"),
                    HasSubstr("/dev/kvm"), HasSubstr("module kvm_intel or kvm_amd")));
  EXPECT_THAT(told("emulated", fakes.file("kvm")),
              AllOf(HasSubstr("unsupported: 2 cells need KVM for Firecracker"),
                    HasSubstr("no flag vmx or svm"), HasSubstr("only emulates")));
  EXPECT_THAT(told("real", fakes.file("kvm")), IsEmpty());
}

TEST(MachineNeedsTest, AFileSystemWithoutDirectIoIsTold) {
  const TempDir disk("/var/tmp");
  const Result<void> has = check_direct_io(disk.path(), 1);
  EXPECT_TRUE(has) << has.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(disk.path()));
  const std::string told = error_in_child(
      [&] { return own_mounts() && ::mount("ramfs", disk.path().c_str(), "ramfs", 0, "") == 0; },
      [&]() -> Result<void> {
        TRY(check_direct_io(disk.path(), 4));
        return {};
      });
  if (told == "skip") GTEST_SKIP() << "SKIP: a mount namespace is not permitted";
  EXPECT_THAT(told, AllOf(HasSubstr("unsupported: 4 cells need direct I/O"), HasSubstr(disk.path()),
                          HasSubstr("ramfs"), HasSubstr("--output")));
}

}  // namespace
}  // namespace thaw
