// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/run_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

ResultsHeader facts_of(const MachineNeeds& needs) {
  ResultsHeader header;
  find_facts(needs, "/var/tmp/not/there/yet", header);
  return header;
}

TEST(RunFactsTest, BuildAndMachineAreFound) {
  const ResultsHeader header = facts_of({});
  EXPECT_THAT(header.kernel, Not(IsEmpty()));
  EXPECT_GT(header.cores, 0U);
  EXPECT_GT(header.memory_bytes, uint64_t{1} << 20);
  EXPECT_THAT(header.versions, Contains(AnyOf(StartsWith("g++ "), StartsWith("clang "))));
  EXPECT_THAT(header.versions, Contains(StartsWith("OpenSSL 3")));
  EXPECT_THAT(header.versions, Contains(StartsWith("processor flags ")));
  EXPECT_THAT(header.versions, Contains(StartsWith("output on ")));
  for (const std::string& each : header.versions) EXPECT_THAT(each, Not(HasSubstr("\n")));
  // What takes no part is no fact of the run.
  for (const char* other : {"memcached", "QEMU", "Firecracker", "libfuse"}) {
    EXPECT_THAT(header.versions, Not(Contains(StartsWith(other))));
  }
  EXPECT_THAT(facts_of({.fuse = 1}).versions, Contains(StartsWith("libfuse 3")));
}

TEST(RunFactsTest, ProgramsThatTakePartAreAsked) {
  const TempDir programs;
  const auto make = [&](const std::string& name, const std::string& lines) {
    ASSERT_TRUE(replace_file(programs.file(name), as_bytes("#!/bin/sh\n" + lines), 0755));
    std::filesystem::permissions(programs.file(name), std::filesystem::perms::owner_all);
  };
  make("memcached", "echo memcached 1.2.3");
  make("qemu-system-x86_64", "echo 'QEMU emulator version 4.5.6 (Debian 1)'; echo more");
  make("firecracker", "echo Firecracker v1.2.3; echo; echo Supported snapshot format: v7");
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (programs.path() + ":" + path).c_str(), 1);
  const ResultsHeader all = facts_of({.memcached = 1, .qemu = 1, .firecracker = 1});
  make("memcached", "exit 1");
  const ResultsHeader silent = facts_of({.memcached = 1});
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(all.versions, Contains("memcached 1.2.3"));
  EXPECT_THAT(all.versions, Contains("QEMU 4.5.6"));
  EXPECT_THAT(all.versions, Contains("Firecracker 1.2.3"));
  EXPECT_THAT(silent.versions, Not(Contains(StartsWith("memcached"))));
}

TEST(RunFactsTest, WhatIsAnotherIsNamed) {
  ResultsHeader found;
  found.thaw_version = "1.0";
  found.commit = "aa";
  found.cpu = "x";
  found.kernel = "6.1";
  found.cores = 2;
  found.memory_bytes = uint64_t{8} << 30;
  found.versions = {"a 1", "b 1"};
  EXPECT_EQ(facts_changed(found, found), "");
  // No facts of machine or build.
  ResultsHeader now = found;
  now.started = "later";
  now.scenario = "elsewhere";
  now.memory_bytes -= uint64_t{1} << 20;
  EXPECT_EQ(facts_changed(found, now), "");
  now.kernel = "6.18";
  now.commit = "";
  now.versions = {"b 1", "a 2"};
  EXPECT_EQ(facts_changed(found, now),
            "commit was aa, is unknown, kernel was 6.1, is 6.18, was a 1, is a 2");
  now = found;
  now.memory_bytes *= 2;
  now.cores = 4;
  now.cpu = "y";
  now.thaw_version = "1.1";
  EXPECT_EQ(facts_changed(found, now),
            "thaw was 1.0, is 1.1, processor was x, is y, cores was 2, is 4, memory was 8.0 GiB, "
            "is 16.0 GiB");
}

}  // namespace
}  // namespace thaw
