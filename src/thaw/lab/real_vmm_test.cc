// SPDX-License-Identifier: Apache-2.0
//
// The driver's measure verb as a child: first with scripts in its place, then real guests in QEMU,
// which THAW_LAB_GUESTS names, a folder that `thaw lab trace --guests` made with the function
// hello, and the library that THAW_PRELOAD_LIBRARY names.
#include "thaw/lab/real_vmm.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/lab_guest.h"
#include "thaw/lab/real_connection.h"
#include "thaw/lab/study_server.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kHeld[] = "echo '{\"held\": true}'\nread line\n";
constexpr char kReport[] =
    R"({"accelerator": "tcg", "pid": 7, "started_ns": 1000000, "ready_ns": 2000000,)"
    R"( "loading_ns": 3000000, "loaded_ns": 4000000, "running_ns": 5000000, "asked_ns": 6000000,)"
    R"( "replied_ns": 9500000, "minor_faults": 11, "major_faults": 12, "cpu_ms": 1.5,)"
    R"( "total_cpu_ms": 2, "rss_bytes": 4096, "pss_bytes": 2048, "private_bytes": 1024})";

class RealVmmTest : public testing::Test {
 protected:
  /// A driver that runs these lines of shell; its arguments are in the file "arguments".
  RealVmmOptions driver(const std::string& lines) const {
    const std::string text = "#!/bin/sh\necho \"$@\" >" + dir_.file("arguments") + "\n" + lines;
    EXPECT_TRUE(replace_file(dir_.file("driver"), as_bytes(text), 0700));
    RealVmmOptions options;
    options.driver.path = dir_.file("driver");
    options.guest = dir_.file("guest");
    options.preload = "lib.so";
    return options;
  }
  std::string print(const char* line) const { return "echo '" + std::string(line) + "'\n"; }
  std::string touch(const std::string& name) const { return "touch " + dir_.file(name) + "\n"; }
  /// Holds, notices the end of its input or a signal, and takes a while to unwind.
  std::string watcher() const {
    return "trap 'sleep 0.2; touch " + dir_.file("unwound") + "; exit 143' TERM\n" + kHeld +
           touch("started") + "read line\nkill -TERM $$\n";
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(dir_.file(name)); }
  void wait_for(const std::string& name) const {
    while (!exists(name)) ::usleep(1000);
  }
  std::string arguments() const {
    const auto text = read_file(dir_.file("arguments"), 4096);
    return text ? std::string(as_text(*text)) : "";
  }
  static Error error_of(const RealVmmOptions& options) {
    const auto vmm = RealVmm::start(options);
    if (!vmm) return vmm.error();
    if (const auto told = (*vmm)->proceed(); !told) return told.error();
    const auto report = (*vmm)->wait();
    EXPECT_FALSE(report);
    return report ? Error{} : report.error();
  }

  const TempDir dir_;
};

TEST_F(RealVmmTest, ReportIsWhatTheDriverPrints) {
  RealVmmOptions options = driver(kHeld + print(kReport));
  options.way = RealWay::kPresent;
  options.task = RealTask::kCallOther;
  options.memory = "elsewhere";
  options.vm = dir_.file("vm");
  options.timeout = std::chrono::seconds(5);
  const auto vmm = RealVmm::start(options);
  ASSERT_TRUE(vmm) << vmm.error().message;
  EXPECT_EQ(arguments(),
            "measure --follow-input --guest " + dir_.file("guest") +
                " --way present --timeout-s 5 --call other --memory elsewhere --preload lib.so "
                "--vm " +
                dir_.file("vm") + " --json\n");
  ASSERT_TRUE((*vmm)->proceed());
  const auto report = (*vmm)->wait();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->start_ms(), 1.0);
  EXPECT_EQ(report->load_ms(), 2.0);
  EXPECT_EQ(report->call_ms(), 3.5);
  EXPECT_EQ(report->loaded_call_ms(), 6.5);
  EXPECT_EQ(report->total_ms(), 7.5);
  EXPECT_EQ(report->minor_faults, 11U);
  EXPECT_EQ(report->major_faults, 12U);
  EXPECT_EQ(report->cpu_ms, 1.5);
  EXPECT_EQ(report->total_cpu_ms, 2.0);
  EXPECT_EQ(report->private_bytes, 1024U);
  EXPECT_EQ(report->accelerator, "tcg");
}

TEST_F(RealVmmTest, NothingGoesOnBeforeItIsLetGo) {
  RealVmmOptions options = driver(kHeld + touch("started") + print(kReport));
  const auto vmm = RealVmm::start(options);
  ASSERT_TRUE(vmm) << vmm.error().message;
  EXPECT_FALSE(exists("started"));
  ASSERT_TRUE((*vmm)->proceed());
  EXPECT_TRUE((*vmm)->wait());
  EXPECT_TRUE(exists("started"));
}

TEST_F(RealVmmTest, FailureIsTheDriversOwnWord) {
  const std::string failed = R"({"error": "no guest", "remedy": "make one", "corrupt": false})";
  const std::string wrong = R"({"error": "1 page is wrong: 7", "remedy": "x", "corrupt": true})";
  for (const std::string& before : {std::string(), std::string(kHeld)}) {
    Error error = error_of(driver(before + print(failed.c_str()) + "exit 1\n"));
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_EQ(error.message, "thaw-qemu measure failed: no guest; to do: make one");
    error = error_of(driver(before + print(wrong.c_str()) + "exit 1\n"));
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(error.message, HasSubstr("1 page is wrong: 7"));
    error = error_of(driver(before + "echo broken >&2; exit 3\n"));
    EXPECT_THAT(error.message, AllOf(HasSubstr("exited with 3"), HasSubstr("broken")));
  }
}

TEST_F(RealVmmTest, DriverOfAnotherVersionIsRefused) {
  const std::string report = print(kReport);
  for (const std::string& lines :
       {std::string("exit 0\n"), print("{}"), print(kReport), std::string(kHeld) + "exit 0\n",
        kHeld + print("{}"), kHeld + print("x"), kHeld + report + report}) {
    const Error error = error_of(driver(lines));
    EXPECT_EQ(error.code, ErrorCode::kInvalid) << lines;
    EXPECT_THAT(error.message, HasSubstr("that came with this thaw")) << lines;
  }
}

TEST_F(RealVmmTest, ContradictionsAreRefused) {
  RealVmmOptions options = driver("");
  options.socket = "s";
  EXPECT_EQ(error_of(options).code, ErrorCode::kInvalid);  // a file has no page server
  options.way = RealWay::kUffd;
  options.memory = "m";
  EXPECT_EQ(error_of(options).code, ErrorCode::kInvalid);
  options.memory.clear();
  options.preload.clear();
  EXPECT_EQ(error_of(options).code, ErrorCode::kInvalid);
  EXPECT_EQ(error_of({}).code, ErrorCode::kInvalid);
  options = driver("");
  EXPECT_EQ(connect_real_vmm(options, 4096).error().code, ErrorCode::kInvalid);
  options.driver.path = dir_.file("none");
  EXPECT_EQ(error_of(options).code, ErrorCode::kUnsupported);
}

TEST_F(RealVmmTest, FirecrackerHasADriverAndLimitsOfItsOwn) {
  RealVmmOptions options = driver(kHeld + print(kReport));
  options.driver.vmm = GuestVmm::kFirecracker;
  options.way = RealWay::kPresent;
  EXPECT_THAT(error_of(options).message,
              AllOf(HasSubstr("cannot resume in Firecracker"), HasSubstr("only QEMU")));
  options.way = RealWay::kUffd;
  options.socket = "s";
  const auto vmm = RealVmm::start(options);
  ASSERT_TRUE(vmm) << vmm.error().message;
  EXPECT_THAT(arguments(), AllOf(HasSubstr("--uffd-socket s"), Not(HasSubstr("--preload"))));
  options = driver("exit 0\n");
  options.driver.vmm = GuestVmm::kFirecracker;
  EXPECT_THAT(error_of(options).message, HasSubstr("the thaw-firecracker that came"));
}

// Firecracker greets while it loads: after it was let go.
TEST_F(RealVmmTest, FirecrackerThatEndsBeforeItsHandshakeIsTold) {
  const auto greeted = [&](const std::string& after) -> Result<void> {
    RealVmmOptions options = driver(kHeld + after);
    options.driver.vmm = GuestVmm::kFirecracker;
    options.way = RealWay::kUffd;
    options.socket = dir_.file("s");
    ASSIGN_OR_RETURN(ConnectedRealVmm vmm, connect_real_vmm(options, 4096));
    EXPECT_TRUE(exists("s"));
    return proceed_to_handshake(*vmm.process, *vmm.awaited, vmm);
  };
  Result<void> taken = greeted(print(R"({"error": "no kvm", "remedy": "buy one"})") + "exit 1\n");
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message,
              HasSubstr("thaw-firecracker measure failed: no kvm; to do: buy one"));
  EXPECT_FALSE(exists("s"));
  taken = greeted(print(kReport));
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("Firecracker sent no handshake"));
}

TEST_F(RealVmmTest, DestructorHasTheDriverUnwind) {
  {
    const auto vmm = RealVmm::start(driver(watcher()));
    ASSERT_TRUE(vmm) << vmm.error().message;
    ASSERT_TRUE((*vmm)->proceed());
    wait_for("started");
  }
  EXPECT_TRUE(exists("unwound"));
}

TEST_F(RealVmmTest, CancellationHasTheDriverUnwind) {
  std::atomic<bool> cancel{false};
  RealVmmOptions options = driver(watcher());
  options.cancel = &cancel;
  const auto vmm = RealVmm::start(options);
  ASSERT_TRUE(vmm) << vmm.error().message;
  ASSERT_TRUE((*vmm)->proceed());
  std::thread other([&] {
    wait_for("started");
    cancel = true;
  });
  const auto report = (*vmm)->wait();
  other.join();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(exists("unwound"));
}

// A clone may be started by a thread that ends before the guest does.
TEST_F(RealVmmTest, OutlivesTheThreadThatStartedIt) {
  std::unique_ptr<RealVmm> vmm;
  std::thread starter([&] { vmm = *RealVmm::start(driver(kHeld + print(kReport))); });
  starter.join();
  ASSERT_TRUE(vmm->proceed());
  EXPECT_TRUE(vmm->wait());
}

TEST_F(RealVmmTest, DriverThatEndsBeforeTheHandshakeIsTold) {
  const auto served = [&](const std::string& lines) {
    RealVmmOptions options = driver(lines);
    options.way = RealWay::kUffd;
    options.socket = dir_.file("s");
    return options;
  };
  const std::string failed = print(R"({"error": "no qemu", "remedy": "install it"})");
  auto vmm = connect_real_vmm(served(failed + "exit 1\n"), 4096);
  ASSERT_FALSE(vmm);
  EXPECT_THAT(vmm.error().message, HasSubstr("no qemu"));
  EXPECT_FALSE(exists("s"));
  vmm = connect_real_vmm(served(kHeld), 4096);
  ASSERT_FALSE(vmm);
  EXPECT_THAT(vmm.error().message, HasSubstr("without a handshake"));

  std::atomic<bool> cancel{true};
  RealVmmOptions options = served(watcher());
  options.cancel = &cancel;
  EXPECT_EQ(connect_real_vmm(options, 4096).error().code, ErrorCode::kInterrupted);
}

/// Real guests.
class RealQemuTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("THAW_LAB_GUESTS");
    if (folder == nullptr) {
      GTEST_SKIP() << "SKIP: THAW_LAB_GUESTS names no folder that thaw lab trace --guests made";
    }
    if (find_program("qemu-system-x86_64").empty()) GTEST_SKIP() << "SKIP: no qemu-system-x86_64";
    const char* const preload = std::getenv("THAW_PRELOAD_LIBRARY");
    if (preload == nullptr) {
      GTEST_SKIP() << "SKIP: THAW_PRELOAD_LIBRARY names no libthaw_uffd_preload.so";
    }
    guests_ = folder;
    preload_ = preload;
    driver_ = *find_guest_driver(GuestVmm::kQemu, {});
  }
  RealVmmOptions options(const LabGuest& guest, RealWay way, RealTask task) const {
    RealVmmOptions options;
    options.driver = driver_;
    options.preload = preload_;
    options.guest = guest.directory;
    options.way = way;
    options.task = task;
    if (way == RealWay::kUffd) options.socket = dir_.file("pages.sock");
    return options;
  }
  static Result<RealReport> run(const RealVmmOptions& options) {
    ASSIGN_OR_RETURN(const auto vmm, RealVmm::start(options));
    TRY(vmm->proceed());
    return vmm->wait();
  }
  /// Over the study's server.
  Result<RealReport> serve(const LabGuest& guest, RealTask task, const std::string& image) const {
    ASSIGN_OR_RETURN(const FunctionTrace trace, load_function(guest.directory, guest.function));
    const StudyServerOptions files{
        .memory = {image, ""}, .working_path = dir_.file("study"), .file = {}};
    ASSIGN_OR_RETURN(StudyServer server, StudyServer::make(files, trace.recorded));
    ASSIGN_OR_RETURN(ConnectedRealVmm vmm,
                     connect_real_vmm(options(guest, RealWay::kUffd, task), guest.memory_bytes()));
    EXPECT_EQ(vmm.handshake.regions.size(), 1U);
    EXPECT_EQ(vmm.handshake.regions[0].bytes, guest.memory_bytes());
    EXPECT_EQ(vmm.handshake.regions[0].offset, 0U);
    Result<StudyRun> served = fail(ErrorCode::kGone, "not served");
    std::thread thread([&] { served = server.serve(vmm, {}); });
    const Result<void> told = vmm.process->proceed();
    EXPECT_TRUE(told) << told.error().message;
    Result<RealReport> report = vmm.process->wait();
    thread.join();
    EXPECT_TRUE(served) << served.error().message;
    if (report && task != RealTask::kVerify) {
      EXPECT_EQ(report->pid, static_cast<uint64_t>(vmm.peer.process.pid));
    }
    return report;
  }

  const TempDir dir_{"/var/tmp"};  // a file system with direct I/O
  std::string guests_;
  GuestProgram driver_;
  std::string preload_;
};

TEST_F(RealQemuTest, CallIsAnsweredInEachWay) {
  const auto guest = load_guest(guests_, "hello", GuestVmm::kQemu);
  ASSERT_TRUE(guest) << guest.error().message;
  for (const RealWay way : {RealWay::kFile, RealWay::kPresent}) {
    const auto report = run(options(*guest, way, RealTask::kCallMeasured));
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LT(report->started_ns, report->ready_ns);
    EXPECT_LT(report->ready_ns, report->loading_ns);
    EXPECT_LT(report->loading_ns, report->loaded_ns);
    EXPECT_LT(report->loaded_ns, report->running_ns);
    EXPECT_LT(report->running_ns, report->asked_ns);
    EXPECT_LT(report->asked_ns, report->replied_ns);
    EXPECT_GT(report->total_cpu_ms, report->cpu_ms);
    EXPECT_GT(report->cpu_ms, 0);
    if (way == RealWay::kPresent) {
      EXPECT_EQ(report->rss_bytes, guest->memory_bytes());
      EXPECT_EQ(report->private_bytes, guest->memory_bytes());
    } else {
      EXPECT_GT(report->minor_faults + report->major_faults, 100U);
      EXPECT_LT(report->rss_bytes, guest->memory_bytes());
    }
  }
  const auto served = serve(*guest, RealTask::kCallOther, guest->memory_path());
  ASSERT_TRUE(served) << served.error().message;
}

TEST_F(RealQemuTest, EveryPageIsCompared) {
  const auto guest = load_guest(guests_, "hello", GuestVmm::kQemu);
  ASSERT_TRUE(guest) << guest.error().message;
  const auto mapped = run(options(*guest, RealWay::kFile, RealTask::kVerify));
  ASSERT_TRUE(mapped) << mapped.error().message;
  EXPECT_EQ(mapped->pages_compared, guest->memory_bytes() / 4096);
  EXPECT_GT(mapped->data_pages, 1000U);
  const auto served = serve(*guest, RealTask::kVerify, guest->memory_path());
  ASSERT_TRUE(served) << served.error().message;
  EXPECT_EQ(served->pages_compared, mapped->pages_compared);
}

// The canary: the last page, which is zero, has a bit from nowhere.
TEST_F(RealQemuTest, WrongPageIsNamed) {
  const auto guest = load_guest(guests_, "hello", GuestVmm::kQemu);
  ASSERT_TRUE(guest) << guest.error().message;
  const std::string wrong = dir_.file("wrong");
  std::filesystem::copy_file(guest->memory_path(), wrong);
  const uint64_t page = guest->memory_bytes() / 4096 - 1;
  {
    const auto file = open_file(wrong, O_RDWR);
    std::array<std::byte, 1> byte{};
    ASSERT_TRUE(read_exact_at(file->get(), page * 4096 + 9, byte, wrong));
    byte[0] ^= std::byte{1};
    ASSERT_TRUE(write_all_at(file->get(), page * 4096 + 9, byte, wrong));
  }
  RealVmmOptions mapped = options(*guest, RealWay::kFile, RealTask::kVerify);
  mapped.memory = wrong;
  for (const auto& report : {run(mapped), serve(*guest, RealTask::kVerify, wrong)}) {
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(report.error().message, HasSubstr("pages: " + std::to_string(page)));
  }
}

TEST_F(RealQemuTest, GuestEndsWithItsOwner) {
  const auto guest = load_guest(guests_, "hello", GuestVmm::kQemu);
  ASSERT_TRUE(guest) << guest.error().message;
  pid_t qemu = 0;
  {
    // Nobody serves: it waits for its first page.
    const auto vmm = connect_real_vmm(options(*guest, RealWay::kUffd, RealTask::kCallMeasured),
                                      guest->memory_bytes());
    ASSERT_TRUE(vmm) << vmm.error().message;
    ASSERT_TRUE(vmm->process->proceed());
    std::array<UffdEvent, 4> events;
    while (*vmm->handshake.uffd.read_events(events) == 0) ::usleep(1000);
    qemu = vmm->peer.process.pid;
    EXPECT_EQ(::kill(qemu, 0), 0);
  }
  EXPECT_EQ(::kill(qemu, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

}  // namespace
}  // namespace thaw
