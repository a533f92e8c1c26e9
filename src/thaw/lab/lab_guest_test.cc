// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "thaw/base/bytes.h"
#include "thaw/base/units.h"
#include "thaw/crypto/digest.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class LabGuestTest : public testing::Test {
 protected:
  LabGuestTest() {
    EXPECT_TRUE(make_directories(dir_.file("f")));
    Bytes memory(kMiB);
    memory[7 * 4096] = std::byte{1};
    write("memory", memory);
    write("vmstate", as_bytes("state"));
    const json call{{"seed", 3}, {"input", "small"}, {"sha256", "cc"}};
    description_ = {{"format", "thaw guest v1"},
                    {"function", "f"},
                    {"memory_mib", 1},
                    {"boot_id", "bb"},
                    {"calls", 1},
                    {"inputs", {{"recorded", call}, {"measured", call}, {"other", call}}},
                    {"sha256", {{"memory", to_hex(sha256(memory))}, {"f.trace", "dd"}}}};
    describe(description_);
  }
  void write(const std::string& name, ByteSpan bytes) const {
    ASSERT_TRUE(replace_file(dir_.file("f/" + name), bytes, 0600));
  }
  void describe(const json& value) const { write("guest.json", as_bytes(value.dump())); }
  Error refused() const {
    const auto guest = load_guest(dir_.path(), "f", GuestVmm::kQemu);
    EXPECT_FALSE(guest);
    return guest ? Error{} : guest.error();
  }

  const TempDir dir_;
  json description_;
};

TEST_F(LabGuestTest, LoadsWhatWasKept) {
  const auto guest = load_guest(dir_.path(), "f", GuestVmm::kQemu);
  ASSERT_TRUE(guest) << guest.error().message;
  EXPECT_EQ(guest->directory, dir_.file("f"));
  EXPECT_EQ(guest->vmm, GuestVmm::kQemu);  // of a time when there was no other
  EXPECT_EQ(guest->memory_bytes(), kMiB);
  EXPECT_EQ(guest->boot_id, "bb");
  EXPECT_EQ(guest->calls, 1U);
  EXPECT_EQ(guest->measured.seed, 3U);
  EXPECT_EQ(guest->other.input, "small");
  EXPECT_EQ(guest->recorded.sha256, "cc");
  EXPECT_EQ(guest->measured_sha256, "dd");
  EXPECT_TRUE(verify_guest(*guest));
}

TEST_F(LabGuestTest, MissingGuestNamesTheVerbsThatMakeIt) {
  const auto none = load_guest(dir_.path(), "g", GuestVmm::kQemu);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, AllOf(HasSubstr("'g'"), HasSubstr("thaw lab build"),
                                          HasSubstr("--guests " + dir_.path() + " --function g")));
}

TEST_F(LabGuestTest, GuestOfAnotherVmmIsRefused) {
  description_["vmm"] = "firecracker";
  describe(description_);
  EXPECT_TRUE(load_guest(dir_.path(), "f", GuestVmm::kFirecracker));
  const Error error = refused();
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_THAT(error.message, AllOf(HasSubstr(dir_.file("f") + " is a guest of Firecracker"),
                                   HasSubstr("QEMU"), HasSubstr("make it: ")));
  description_["vmm"] = "qemu";
  describe(description_);
  const auto other = load_guest(dir_.path(), "f", GuestVmm::kFirecracker);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("--function f --vmm firecracker"));
}

TEST_F(LabGuestTest, WrongDescriptionsAreRefused) {
  write("guest.json", as_bytes("[]"));
  EXPECT_EQ(refused().code, ErrorCode::kInvalid);
  for (const auto& [name, value] : std::map<std::string, json>{{"format", "thaw guest v2"},
                                                               {"function", "g"},
                                                               {"memory_mib", -1},
                                                               {"boot_id", 7},
                                                               {"vmm", "bochs"},
                                                               {"inputs", json::array()},
                                                               {"sha256", {{"memory", 1}}}}) {
    json changed = description_;
    changed[name] = value;
    describe(changed);
    const Error error = refused();
    EXPECT_EQ(error.code, ErrorCode::kInvalid) << name;
    EXPECT_THAT(error.message, AllOf(HasSubstr("guest.json"), HasSubstr("make it: "))) << name;
    changed.erase(name);
    describe(changed);
    if (name == "vmm") continue;
    EXPECT_EQ(refused().code, ErrorCode::kInvalid) << name;
  }
}

TEST_F(LabGuestTest, FilesOfAnotherGuestAreFound) {
  Bytes memory(kMiB);
  write("memory", memory);
  const auto guest = load_guest(dir_.path(), "f", GuestVmm::kQemu);
  ASSERT_TRUE(guest);
  const auto verified = verify_guest(*guest);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kCorrupt);
  memory.resize(kMiB - 4096);
  write("memory", memory);
  EXPECT_THAT(refused().message, HasSubstr("its guest has 1 MiB"));
  std::filesystem::remove(dir_.file("f/memory"));
  EXPECT_EQ(refused().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace thaw
