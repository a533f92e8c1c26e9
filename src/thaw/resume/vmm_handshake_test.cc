// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/vmm_handshake.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "thaw/base/units.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {
namespace {

constexpr uint64_t kBase = 140'000'000'000'000 / kHugePageBytes * kHugePageBytes;

std::string element(uint64_t base, uint64_t size, uint64_t offset, const std::string& more = "") {
  return R"({"base_host_virt_addr":)" + std::to_string(base) + R"(,"size":)" +
         std::to_string(size) + R"(,"offset":)" + std::to_string(offset) + more + "}";
}

std::string refusal(const Result<ParsedRegions>& parsed) {
  return parsed ? "accepted" : parsed.error().message;
}

Result<void> validated(std::vector<MemoryRegion> regions, uint64_t image_bytes) {
  return validate_regions(regions, image_bytes);
}

TEST(ParseRegions, EveryGenerationOfFirecracker) {
  const Result<ParsedRegions> v1_1 = parse_regions("[" + element(kBase, 8192, 4096) + "]");
  ASSERT_TRUE(v1_1) << v1_1.error().message;
  EXPECT_EQ(v1_1->regions[0], (MemoryRegion{kBase, 8192, 4096, 4096}));
  EXPECT_FALSE(v1_1->keeps_socket);

  const auto v1_7 =
      parse_regions("[" + element(kBase, 2097152, 0, R"(,"page_size_kib":2097152)") + "]");
  ASSERT_TRUE(v1_7);
  EXPECT_EQ(v1_7->regions[0].page_bytes, kHugePageBytes);
  EXPECT_FALSE(v1_7->keeps_socket);

  const auto v1_12 = parse_regions(
      "[" + element(kBase, 8192, 0, R"(,"page_size":4096,"page_size_kib":4096,"future":[{}])") +
      "]");
  ASSERT_TRUE(v1_12);
  EXPECT_EQ(v1_12->regions[0].page_bytes, kPageBytes);
  EXPECT_TRUE(v1_12->keeps_socket);
}

TEST(ParseRegions, RefusalsNameTheFault) {
  EXPECT_NE(refusal(parse_regions("nonsense")).find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal(parse_regions("[]")).find("no region"), std::string::npos);
  EXPECT_NE(refusal(parse_regions("7")).find("not a JSON array"), std::string::npos);
  EXPECT_NE(refusal(parse_regions("[7]")).find("region 0 is not"), std::string::npos);
  EXPECT_NE(refusal(parse_regions(R"([{"size":1,"offset":0}])")).find("base_host_virt_addr"),
            std::string::npos);
  EXPECT_NE(refusal(parse_regions(R"([{"base_host_virt_addr":-1,"size":1,"offset":0}])"))
                .find("unsigned"),
            std::string::npos);
  EXPECT_NE(refusal(parse_regions(R"([{"base_host_virt_addr":"x","size":1,"offset":0}])"))
                .find("unsigned"),
            std::string::npos);
  EXPECT_NE(refusal(parse_regions(R"({"type":0,"regions":[]})")).find("typed envelope"),
            std::string::npos);
  EXPECT_NE(refusal(parse_regions("[" + element(kBase, 4096, 0, R"(,"is_guest_memfd":true)") + "]"))
                .find("guest_memfd"),
            std::string::npos);
  std::string many;
  for (int i = 0; i < 4096; ++i) many += (i ? "," : "") + element(kBase, 4096, 0);
  EXPECT_NE(refusal(parse_regions("[" + many + "]")).find("4096 regions"), std::string::npos);
}

TEST(ValidateRegions, AcceptsAPartitionInAnyOrder) {
  std::vector<MemoryRegion> regions{{kBase + 1 * kGiB, 8192, 0, 4096}, {kBase, 4096, 8192, 4096}};
  ASSERT_TRUE(validate_regions(regions, 12288));
  EXPECT_EQ(regions[0].address, kBase);
}

TEST(ValidateRegions, RefusesEverythingElse) {
  const auto refused = [](std::vector<MemoryRegion> regions, uint64_t bytes, const char* why) {
    const Result<void> verdict = validated(std::move(regions), bytes);
    ASSERT_FALSE(verdict) << why;
    EXPECT_NE(verdict.error().message.find(why), std::string::npos) << verdict.error().message;
  };
  refused({}, 4096, "no region");
  refused({{kBase, 0, 0, 4096}}, 0, "empty");
  refused({{kBase + 1, 4096, 0, 4096}}, 4096, "not aligned");
  refused({{kBase, 4095, 0, 4096}}, 4096, "not aligned");
  refused({{kBase, 4096, 1, 4096}}, 8192, "not aligned");
  refused({{kBase + 4096, kHugePageBytes, 0, kHugePageBytes}}, kHugePageBytes, "not aligned");
  refused({{kBase, 4096, 0, 1 << 30}}, 4096, "pages of");
  refused({{kBase, 8192, 0, 4096}}, 4096, "past the end of the memory image");
  refused({{kBase, 4096, UINT64_MAX - 4095, 4096}}, 4096, "past the end of the memory image");
  refused({{UINT64_MAX - 4095, 8192, 0, 4096}}, 8192, "address space");
  refused({{kBase, 4096, 0, 4096}}, 8192, "take 4096 bytes");
  refused({{kBase, 4096, 4096, 4096}}, 8192, "no region takes");
  refused({{kBase, 8192, 0, 4096}, {kBase + 8192, 8192, 4096, 4096}}, 12288, "same bytes");
  refused({{kBase, 8192, 0, 4096}, {kBase + 4096, 4096, 8192, 4096}}, 12288, "overlap");
  refused({{kBase, kHugePageBytes, 0, kHugePageBytes},
           {kBase + kHugePageBytes, kHugePageBytes, kHugePageBytes, 4096}},
          2 * kHugePageBytes, "different page sizes");
}

// A connected pair: what is written on one end is received on the other.
struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    client = Fd(ends[0]);
    server = Fd(ends[1]);
  }
  void send(const std::string& text, const std::vector<int>& fds = {}) {
    ASSERT_TRUE(send_with_fds(client.get(), as_bytes(text), fds));
  }
  Fd client;
  Fd server;
};

class Receiver : public testing::Test {
 protected:
  static int open_descriptors() {
    int count = 0;
    for (int fd = 0; fd < 1024; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  }
  const std::string whole_ = "[" + element(kBase, 4096, 0) + "]";
};

TEST_F(Receiver, TakesItInPieces) {
  Result<Uffd> uffd = Uffd::create(0);
  if (!uffd) GTEST_SKIP() << uffd.error().message;
  Pipe pipe;
  HandshakeReceiver receiver;
  EXPECT_EQ(*receiver.receive(pipe.server.get()), HandshakeReceiver::State::kIncomplete);
  pipe.send(whole_.substr(0, 10), {uffd->fd()});
  EXPECT_EQ(*receiver.receive(pipe.server.get()), HandshakeReceiver::State::kIncomplete);
  EXPECT_TRUE(receiver.has_uffd());
  pipe.send(whole_.substr(10) + " trailing");
  EXPECT_EQ(*receiver.receive(pipe.server.get()), HandshakeReceiver::State::kComplete);
  const Result<Handshake> handshake = receiver.finish(4096);
  ASSERT_TRUE(handshake) << handshake.error().message;
  EXPECT_TRUE(handshake->uffd);
  EXPECT_NE(handshake->uffd.fd(), uffd->fd());
}

TEST_F(Receiver, ToleratesAMemfdButNotThreeDescriptors) {
  Result<Uffd> uffd = Uffd::create(0);
  if (!uffd) GTEST_SKIP() << uffd.error().message;
  const int before = open_descriptors();
  for (const size_t count : {2u, 3u}) {
    Pipe pipe;
    HandshakeReceiver receiver;
    std::vector<int> fds(count, pipe.client.get());
    fds[0] = uffd->fd();
    pipe.send(whole_, fds);
    ASSERT_EQ(*receiver.receive(pipe.server.get()), HandshakeReceiver::State::kComplete);
    EXPECT_EQ(receiver.finish(4096).has_value(), count == 2);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Receiver, RefusesWithoutAUserfaultfd) {
  for (const bool with_other : {false, true}) {
    Pipe pipe;
    HandshakeReceiver receiver;
    pipe.send(whole_, with_other ? std::vector<int>{0} : std::vector<int>{});
    ASSERT_EQ(*receiver.receive(pipe.server.get()), HandshakeReceiver::State::kComplete);
    const Result<Handshake> handshake = receiver.finish(4096);
    ASSERT_FALSE(handshake);
    EXPECT_NE(handshake.error().message.find("userfaultfd"), std::string::npos);
    EXPECT_FALSE(receiver.has_uffd());
  }
}

TEST_F(Receiver, RefusesGarbageAtTheFirstByte) {
  Pipe pipe;
  HandshakeReceiver receiver;
  pipe.send("GET / HTTP/1.1\r\n");
  EXPECT_FALSE(receiver.receive(pipe.server.get()));
}

TEST_F(Receiver, RefusesAClientThatLeaves) {
  for (const std::string& said : {std::string(), whole_.substr(0, 20)}) {
    Pipe pipe;
    HandshakeReceiver receiver;
    if (!said.empty()) pipe.send(said);
    pipe.client.reset();
    const auto state = receiver.receive(pipe.server.get());
    ASSERT_FALSE(state);
    EXPECT_NE(state.error().message.find("closed"), std::string::npos);
  }
}

TEST_F(Receiver, RefusesEndlessText) {
  Pipe pipe;
  HandshakeReceiver receiver;
  std::string text = "[\"";
  Result<HandshakeReceiver::State> state = HandshakeReceiver::State::kIncomplete;
  for (size_t sent = 0; state && sent < 2 * kHandshakeBytesMax; sent += 32 * 1024) {
    pipe.send(text + std::string(32 * 1024, 'x'));
    text.clear();
    state = receiver.receive(pipe.server.get());
  }
  ASSERT_FALSE(state);
  EXPECT_NE(state.error().message.find("longer than"), std::string::npos);
}

}  // namespace
}  // namespace thaw
