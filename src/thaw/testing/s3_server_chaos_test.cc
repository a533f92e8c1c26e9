// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_chaos.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "thaw/testing/s3_curl_test.h"

namespace thaw {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kTarget = "/thaw-test/k";

class S3ChaosTest : public testing::Test {
 protected:
  static constexpr size_t kBytes = 200'000;
  static Bytes some_bytes(unsigned start, size_t bytes = kBytes) {
    Bytes made(bytes);
    for (size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((start + i * 7 + i / 255));
    return made;
  }
  void SetUp() override {
    auto started = S3Server::start();
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    server_->set_object("thaw-test", "k", some_bytes(1));
  }
  std::string truth() const { return std::string(as_text(*server_->object("thaw-test", "k"))); }
  S3CurlReply get() const { return s3_curl(*server_, {"GET", kTarget}); }
  S3CurlReply get_under(const S3Chaos& chaos) {
    server_->set_chaos(chaos);
    return get();
  }
  std::unique_ptr<S3Server> server_;
};

TEST_F(S3ChaosTest, RefusesWithoutDoing) {
  const struct {
    S3Chaos chaos;
    long status;
    const char* code;
  } cases[] = {{{.error_rate = 1}, 500, "InternalError"},
               {{.throttle_rate = 1}, 503, "SlowDown"},
               {{.forbid_rate = 1}, 403, "AccessDenied"},
               {{.conflict_rate = 1}, 409, "ConditionalRequestConflict"}};
  for (const auto& c : cases) {
    server_->set_chaos(c.chaos);
    const S3CurlReply reply = s3_curl(*server_, {"PUT", "/thaw-test/new", "x"});
    EXPECT_EQ(reply.status, c.status);
    EXPECT_THAT(reply.body, HasSubstr(std::string("<Code>") + c.code));
    EXPECT_EQ(server_->object("thaw-test", "new"), std::nullopt);
  }
  EXPECT_THAT(server_->violations(), IsEmpty());
}

TEST_F(S3ChaosTest, ResetsBeforeAnAnswer) {
  const S3CurlReply reply = get_under({.reset_rate = 1});
  EXPECT_EQ(reply.status, 0);
  EXPECT_NE(reply.result, CURLE_OK);
  EXPECT_EQ(server_->counts().of(S3Fault::kReset), 1u);
}

TEST_F(S3ChaosTest, LosesTheAnswerOfWhatItDid) {
  server_->set_chaos({.lost_answer_rate = 1});
  EXPECT_NE(s3_curl(*server_, {"PUT", "/thaw-test/new", "x"}).result, CURLE_OK);
  EXPECT_EQ(server_->object("thaw-test", "new"), some_bytes('x', 1));
  // Reads have nothing to lose.
  EXPECT_EQ(get().body, truth());
}

TEST_F(S3ChaosTest, CutsAndTruncatesBodies) {
  for (const bool cut : {true, false}) {
    const S3CurlReply reply =
        get_under({.cut_rate = cut ? 1.0 : 0.0, .truncate_rate = cut ? 0.0 : 1.0});
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.headers.at("Content-Length"), std::to_string(kBytes));
    EXPECT_NE(reply.result, CURLE_OK);
    EXPECT_LT(reply.body.size(), kBytes);
    EXPECT_EQ(reply.body, truth().substr(0, reply.body.size()));
  }
}

TEST_F(S3ChaosTest, StallsAfterTheHeaders) {
  const S3CurlReply reply = get_under({.stall_rate = 1, .stall_max = milliseconds(50)});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("Content-Length"), std::to_string(kBytes));
  EXPECT_EQ(reply.body, "");
  EXPECT_EQ(reply.result, CURLE_PARTIAL_FILE);
  EXPECT_EQ(server_->counts().of(S3Fault::kStall), 1u);
}

TEST_F(S3ChaosTest, LiesAboutLengthBitsAndVersions) {
  std::set<bool> longer;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const S3CurlReply reply = get_under({.seed = seed, .wrong_length_rate = 1});
    EXPECT_EQ(reply.result, CURLE_OK);
    EXPECT_NE(reply.body.size(), kBytes);
    EXPECT_EQ(reply.headers.at("Content-Length"), std::to_string(reply.body.size()));
    longer.insert(reply.body.size() > kBytes);
  }
  EXPECT_EQ(longer.size(), 2u);

  const S3CurlReply corrupt = get_under({.corrupt_rate = 1});
  ASSERT_EQ(corrupt.body.size(), kBytes);
  unsigned wrong_bits = 0;
  const std::string expected = truth();
  for (size_t i = 0; i < kBytes; ++i) {
    wrong_bits += static_cast<unsigned>(
        std::popcount(static_cast<unsigned char>(corrupt.body[i] ^ expected[i])));
  }
  EXPECT_EQ(wrong_bits, 1u);

  // One version and no other object: nothing to mistake it for.
  EXPECT_EQ(get_under({.stale_rate = 1}).body, expected);
  EXPECT_EQ(server_->counts().of(S3Fault::kStale), 0u);
  server_->set_object("thaw-test", "other", some_bytes(99));
  EXPECT_EQ(get_under({.stale_rate = 1}).body, std::string(as_text(some_bytes(99))));
  server_->set_object("thaw-test", "k", some_bytes(2));
  EXPECT_EQ(get_under({.stale_rate = 1}).body, expected);
  EXPECT_EQ(get_under({}).body, std::string(as_text(some_bytes(2))));
  EXPECT_EQ(server_->counts().of(S3Fault::kStale), 2u);
}

TEST_F(S3ChaosTest, AnswersGarbage) {
  std::set<long> statuses;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const S3CurlReply reply = get_under({.seed = seed, .garbage_rate = 1});
    EXPECT_NE(reply.body, truth());
    statuses.insert(reply.status);
  }
  EXPECT_EQ(statuses, (std::set<long>{0, 200, 500, 503}));
  EXPECT_EQ(server_->counts().of(S3Fault::kGarbage), 20u);
}

TEST_F(S3ChaosTest, KeepsSomeKeysOfADelete) {
  std::string xml = "<Delete>";
  for (int i = 0; i < 50; ++i) {
    const std::string key = "d/" + std::to_string(i);
    server_->set_object("thaw-test", key, some_bytes(1, 3));
    xml += "<Object><Key>" + key + "</Key></Object>";
  }
  xml += "</Delete>";
  S3Service service({});  // the body's MD5 comes from the same code as an ETag
  service.buckets().set_object("b", "xml", Bytes(as_bytes(xml).begin(), as_bytes(xml).end()));
  const std::string etag = service.buckets().object("b", "xml")->etag;
  const Bytes digest = *from_hex(std::string_view(etag).substr(1, 32));
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (size_t bit = 0; bit < digest.size() * 8; bit += 6) {
    unsigned value = 0;
    for (size_t i = bit; i < bit + 6; ++i) {
      const unsigned byte = i / 8 < digest.size() ? std::to_integer<unsigned>(digest[i / 8]) : 0;
      value = value * 2 + ((byte >> (7 - i % 8)) & 1);
    }
    base64 += kDigits[value];
  }
  server_->set_chaos({.delete_error_rate = 0.5});
  const S3CurlReply reply =
      s3_curl(*server_, {"POST", "/thaw-test?delete=", xml, {"Content-MD5: " + base64 + "=="}});
  EXPECT_EQ(reply.status, 200) << reply.body;
  size_t kept = 0;
  for (int i = 0; i < 50; ++i) {
    const std::string key = "d/" + std::to_string(i);
    const bool there = server_->object("thaw-test", key).has_value();
    kept += there ? 1 : 0;
    const std::string said =
        std::string(there ? "<Error>" : "<Deleted>") + "<Key>" + key + "</Key>";
    EXPECT_THAT(reply.body, HasSubstr(said));
  }
  EXPECT_GT(kept, 10u);
  EXPECT_LT(kept, 40u);
}

TEST_F(S3ChaosTest, FatesFollowFromSeedAndNumber) {
  const S3Chaos plan{.seed = 5, .error_rate = 0.3, .reset_rate = 0.3};
  std::vector<S3Fault> whole;
  S3Fates fates(plan);
  for (int i = 0; i < 200; ++i) whole.push_back(fates.next(S3Operation::kGet, "k").fault);
  EXPECT_THAT(whole, testing::Contains(S3Fault::kError));
  EXPECT_THAT(whole, testing::Contains(S3Fault::kReset));
  EXPECT_THAT(whole, testing::Contains(S3Fault::kNone));

  // What the plan does not concern takes no numbers.
  S3Chaos restricted = plan;
  restricted.only = {S3Operation::kGet};
  restricted.key_prefix = "k";
  S3Fates other(restricted);
  for (const S3Fault expected : whole) {
    EXPECT_EQ(other.next(S3Operation::kPut, "k").fault, S3Fault::kNone);
    EXPECT_EQ(other.next(S3Operation::kGet, "x").fault, S3Fault::kNone);
    EXPECT_EQ(other.next(S3Operation::kGet, "kk").fault, expected);
  }
  S3Chaos reseeded = plan;
  reseeded.seed = 6;
  S3Fates third(reseeded);
  std::vector<S3Fault> differs;
  for (int i = 0; i < 200; ++i) differs.push_back(third.next(S3Operation::kGet, "k").fault);
  EXPECT_NE(differs, whole);
}

TEST_F(S3ChaosTest, StrikesTheRequestsItIsToldTo) {
  server_->set_chaos({.error_rate = 1, .first = 1, .count = 2});
  std::vector<long> statuses;
  for (int i = 0; i < 4; ++i) statuses.push_back(get().status);
  EXPECT_THAT(statuses, testing::ElementsAre(200, 500, 500, 200));
}

TEST_F(S3ChaosTest, RatesAreMet) {
  S3Fates fates({.seed = 11, .error_rate = 0.2, .corrupt_rate = 0.1, .delay_rate = 0.25});
  unsigned errors = 0;
  unsigned corrupt = 0;
  unsigned delayed = 0;
  constexpr unsigned kRequests = 10'000;
  for (unsigned i = 0; i < kRequests; ++i) {
    const S3Fate fate = fates.next(S3Operation::kGet, "k");
    errors += fate.fault == S3Fault::kError ? 1 : 0;
    corrupt += fate.fault == S3Fault::kCorrupt ? 1 : 0;
    delayed += fate.delayed ? 1 : 0;
  }
  // Four standard deviations, for one fixed seed.
  EXPECT_NEAR(errors, 2000, 160);
  EXPECT_NEAR(corrupt, 1000, 120);
  EXPECT_NEAR(delayed, 2500, 174);
}

TEST_F(S3ChaosTest, HoldsHundredsAtOnceAndLetsThemGo) {
  server_->set_object("thaw-test", "small", some_bytes(3, 1000));
  server_->set_chaos({.hold = true});
  constexpr size_t kRequests = 300;
  std::vector<S3CurlReply> replies;
  std::thread clients([&] {
    replies =
        s3_curl_all(*server_, std::vector<S3CurlRequest>(kRequests, {"GET", "/thaw-test/small"}));
  });
  const bool there = server_->wait_for_in_flight(kRequests);
  server_->set_chaos({});
  clients.join();
  EXPECT_TRUE(there);
  ASSERT_EQ(replies.size(), kRequests);
  for (const S3CurlReply& reply : replies) {
    EXPECT_EQ(reply.result, CURLE_OK);
    EXPECT_EQ(reply.body, std::string(as_text(some_bytes(3, 1000))));
  }
  EXPECT_EQ(server_->counts().in_flight_max, kRequests);
  EXPECT_EQ(server_->gets_of("small"), kRequests);
  EXPECT_THAT(server_->violations(), IsEmpty());
}

TEST_F(S3ChaosTest, DelaysSideBySide) {
  server_->set_object("thaw-test", "small", some_bytes(3, 1000));
  server_->set_chaos({.delay = milliseconds(200), .shape = latency_preset("zone")});
  const auto begin = std::chrono::steady_clock::now();
  const auto replies =
      s3_curl_all(*server_, std::vector<S3CurlRequest>(64, {"GET", "/thaw-test/small"}));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(200));
  for (const S3CurlReply& reply : replies) EXPECT_EQ(reply.body.size(), 1000u);
  EXPECT_GT(server_->counts().in_flight_max, 1u);
}

TEST_F(S3ChaosTest, StopsWithRequestsUnderWay) {
  for (const S3Chaos& chaos :
       {S3Chaos{.hold = true}, S3Chaos{.delay = std::chrono::hours(1)}, S3Chaos{.stall_rate = 1}}) {
    server_->set_chaos(chaos);
    S3CurlReply reply;
    std::thread client(
        [&, account = s3_curl_account(*server_)] { reply = s3_curl(account, {"GET", kTarget}); });
    EXPECT_TRUE(server_->wait_for_in_flight(1));
    server_.reset();
    client.join();
    EXPECT_NE(reply.result, CURLE_OK);
    SetUp();
  }
}

TEST_F(S3ChaosTest, SaysItsSeed) {
  server_->set_chaos({.seed = 77,
                      .error_rate = 0.5,
                      .only = {S3Operation::kGet},
                      .key_prefix = "chunks/",
                      .first = 3,
                      .count = 1});
  EXPECT_THAT(server_->describe(),
              HasSubstr("seed 77, error 0.5, of get, of keys chunks/*, from request 3, of 1"));
}

}  // namespace
}  // namespace thaw
