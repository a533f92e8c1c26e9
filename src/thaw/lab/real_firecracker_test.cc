// SPDX-License-Identifier: Apache-2.0
//
// Real guests in Firecracker. THAW_FIRECRACKER_GUESTS names a folder that `thaw lab trace --vmm
// firecracker --guests` made with the function hello. Where KVM only emulates, a guest can be
// resumed and its memory compared, but answers no call in any time.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "thaw/crypto/file_key_provider.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/lab_guest.h"
#include "thaw/lab/lab_home.h"
#include "thaw/lab/machine_needs.h"
#include "thaw/lab/real_guests.h"
#include "thaw/lab/resume_way.h"
#include "thaw/lab/study_server.h"
#include "thaw/sys/child_process.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/scratch_dir.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::HasSubstr;

constexpr uint32_t kQueueMax = 65536;

class RealFirecrackerTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("THAW_FIRECRACKER_GUESTS");
    if (folder == nullptr) {
      GTEST_SKIP() << "SKIP: THAW_FIRECRACKER_GUESTS names no folder that thaw lab trace --vmm "
                      "firecracker --guests made";
    }
    if (find_program("firecracker").empty()) GTEST_SKIP() << "SKIP: no firecracker in PATH";
    if (!open_file("/dev/kvm", O_RDWR)) GTEST_SKIP() << "SKIP: /dev/kvm cannot be used";
    const auto guest = load_guest(folder, "hello", GuestVmm::kFirecracker);
    ASSERT_TRUE(guest) << guest.error().message;
    guest_ = *guest;
    programs_.driver = *find_guest_driver(GuestVmm::kFirecracker, {});
  }
  RealGuests guests(bool verify) const {
    return RealGuests(guest_, programs_, LabInput::kSame, verify, dir_.file("pages"));
  }
  uint64_t pages() const { return guest_.memory_bytes() / kPageBytes; }
  Result<GuestReport> map(const std::string& memory, bool verify) const {
    ASSIGN_OR_RETURN(const auto guest, guests(verify).start_mapped(0, {.path = memory}));
    TRY(guest->proceed());
    return guest->wait();
  }
  /// From a thaw store, encrypted, as the lab measures it.
  Result<GuestReport> serve(Technique technique, bool verify) const {
    Cell cell;
    cell.function = "hello";
    cell.driver = LabDriver::kFirecracker;
    cell.technique = technique;
    cell.storage = LabStorage::kChunkedEncrypted;
    ASSIGN_OR_RETURN(const FunctionTrace trace, load_function(guest_.directory, "hello"));
    ASSIGN_OR_RETURN(const auto scratch, ScratchDir::make(dir_.path()));
    ASSIGN_OR_RETURN(Keyring keyring, Keyring::create(scratch->file("keys"), "lab"));
    const FileKeyProvider keys(std::move(keyring));
    WorkerPool workers(WorkerOptions().thread_count(), kQueueMax);
    ASSIGN_OR_RETURN(const auto home, LabHome::make({*scratch, *scratch, keys, workers}, trace,
                                                    cell.chunk_bytes, guest_.memory_path()));
    ASSIGN_OR_RETURN(const auto snapshots, home->snapshots_of(cell));
    ASSIGN_OR_RETURN(TierStack* const stack, home->stack_of(cell, snapshots, nullptr, 1));
    const RealGuests starter = guests(verify);
    ASSIGN_OR_RETURN(const auto way,
                     make_session_way({cell, snapshots, starter, 1}, *stack, workers));
    return way->resume(0);
  }
  /// By the study's server.
  Result<GuestReport> serve_file(const std::string& image) const {
    ASSIGN_OR_RETURN(const FunctionTrace trace, load_function(guest_.directory, "hello"));
    const StudyServerOptions files{
        .memory = {image, ""}, .working_path = dir_.file("study"), .file = {}};
    ASSIGN_OR_RETURN(StudyServer server, StudyServer::make(files, trace.recorded));
    ASSIGN_OR_RETURN(ServedGuest guest, guests(true).start_served(0));
    TRY(guest.greet());
    EXPECT_EQ(guest.vmm.handshake.regions.size(), 1U);
    EXPECT_EQ(guest.vmm.handshake.regions[0].bytes, guest_.memory_bytes());
    Result<StudyRun> served = fail(ErrorCode::kGone, "not served");
    std::thread thread([&] { served = server.serve(guest.vmm, {}); });
    Result<GuestReport> report = guest.guest->wait();
    thread.join();
    EXPECT_TRUE(served) << served.error().message;
    return report;
  }

  const TempDir dir_{"/var/tmp"};  // a file system with direct I/O
  LabGuest guest_;
  GuestPrograms programs_;
};

TEST_F(RealFirecrackerTest, EveryPageIsCompared) {
  const auto mapped = map(guest_.memory_path(), true);
  ASSERT_TRUE(mapped) << mapped.error().message;
  EXPECT_EQ(mapped->pages_checked, pages());
  const auto served = serve_file(guest_.memory_path());
  ASSERT_TRUE(served) << served.error().message;
  EXPECT_EQ(served->pages_checked, pages());
}

TEST_F(RealFirecrackerTest, EveryPageFromAnEncryptedStoreIsCompared) {
  for (const Technique technique :
       {Technique::kOnDemand, Technique::kReap, Technique::kFaasnap, Technique::kHot}) {
    const auto served = serve(technique, true);
    ASSERT_TRUE(served) << served.error().message;
    EXPECT_EQ(served->pages_checked, pages());
  }
}

// The canary: the last page, which is zero, has a bit from nowhere.
TEST_F(RealFirecrackerTest, WrongPageIsNamed) {
  const std::string wrong = dir_.file("wrong");
  std::filesystem::copy_file(guest_.memory_path(), wrong);
  {
    const auto file = open_file(wrong, O_RDWR);
    constexpr std::array<std::byte, 1> kWrong{std::byte{1}};
    ASSERT_TRUE(write_all_at(file->get(), guest_.memory_bytes() - 9, kWrong, wrong));
  }
  for (const auto& report : {map(wrong, true), serve_file(wrong)}) {
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(report.error().message, HasSubstr("pages: " + std::to_string(pages() - 1)));
  }
}

TEST_F(RealFirecrackerTest, GuestEndsWithItsOwner) {
  pid_t firecracker = 0;
  {
    // Nobody serves: it waits for its first page.
    auto guest = guests(false).start_served(0);
    ASSERT_TRUE(guest) << guest.error().message;
    ASSERT_TRUE(guest->greet());
    firecracker = guest->vmm.peer.process.pid;
    EXPECT_EQ(::kill(firecracker, 0), 0);
  }
  EXPECT_EQ(::kill(firecracker, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(RealFirecrackerTest, CallIsAnsweredInEachWay) {
  if (const auto real = check_machine({.firecracker = 1}); !real) {
    GTEST_SKIP() << "SKIP: " << real.error().message;
  }
  const auto mapped = map(guest_.memory_path(), false);
  ASSERT_TRUE(mapped) << mapped.error().message;
  EXPECT_GT(mapped->resume_ms, 0);
  const auto served = serve(Technique::kHot, false);
  ASSERT_TRUE(served) << served.error().message;
  EXPECT_GT(served->private_bytes, 0U);
}

}  // namespace
}  // namespace thaw
