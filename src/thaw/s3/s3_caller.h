// SPDX-License-Identifier: Apache-2.0
//
// S3Caller: carries out calls. A call is one wish (this object, this listing page); behind it stand
// as many attempts as it takes: each is signed anew, judged, and repeated after a jittered wait
// while the deadline, the attempts' limit and the budget of all calls together allow it. A read
// that is late gets one hedge.
//
// All of it happens on the HTTP client's thread, so there are no locks but for the inbox.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "thaw/base/deadline.h"
#include "thaw/base/guarded.h"
#include "thaw/s3/credentials.h"
#include "thaw/s3/hedge.h"
#include "thaw/s3/http_client.h"
#include "thaw/s3/retry.h"
#include "thaw/s3/s3_address.h"
#include "thaw/s3/s3_error.h"
#include "thaw/s3/s3_options.h"
#include "thaw/s3/sigv4.h"
#include "thaw/s3/token_bucket.h"

namespace thaw {

/// Totals since the caller was made. Read from any thread.
struct S3Counters {
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> requests{0};  // attempts and hedges
  std::atomic<uint64_t> retries{0};
  std::atomic<uint64_t> retry_budget_exhausted{0};
  std::atomic<uint64_t> hedges{0};
  std::atomic<uint64_t> hedge_wins{0};
  std::atomic<uint64_t> hedges_refused{0};  // by the budget or for want of a connection
  std::atomic<uint64_t> calls_refused{0};   // by calls_max
  std::atomic<uint64_t> deadlines_passed{0};
  std::atomic<uint64_t> bytes_in{0};   // bodies that came, of failed attempts too
  std::atomic<uint64_t> bytes_out{0};  // bodies to send, by attempt
  // Answers that were no success, by kind.
  std::atomic<uint64_t> throttles{0};
  std::atomic<uint64_t> transport_errors{0};
  std::atomic<uint64_t> timeouts{0};
  std::atomic<uint64_t> server_errors{0};
  std::atomic<uint64_t> denials{0};
  std::atomic<uint64_t> corrupt_answers{0};
  std::atomic<uint64_t> bad_answers{0};
};

struct S3Call {
  std::string what;  // "cannot get s3://bucket/key", for messages
  HttpMethod method = HttpMethod::kGet;
  std::string key;  // in the bucket, with the prefix; empty: the bucket itself
  QueryParts query;
  std::vector<HttpHeader> headers;
  ByteSpan body;               // borrowed until done
  std::string payload_digest;  // of the body
  std::optional<MutableByteSpan> into;
  uint64_t body_bytes_max = kErrorBodyBytesMax;
  bool hedge = false;  // only with `into`
  Deadline deadline = kNoDeadline;
  /// Judges an answer if it is one the call is about; nullopt leaves it to judge_answer().
  /// `may_have_acted`: an earlier request of this call may have changed the server's state. On the
  /// caller's thread.
  std::function<std::optional<Verdict>(HttpAnswer& answer, bool may_have_acted)> judge;
  /// Called exactly once.
  std::function<void(Result<void>)> done;
};

class S3Caller {
 public:
  /// From validated options.
  S3Caller(const S3Options& options, S3Endpoint endpoint, S3Credentials credentials);
  /// Ends every call with kInterrupted, on the client's thread; joins.
  ~S3Caller();
  S3Caller(const S3Caller&) = delete;
  S3Caller& operator=(const S3Caller&) = delete;

  /// Any thread, also from `done`. `done` is called on the client's thread, or here if too many
  /// calls are under way (kOverloaded) or the caller is being destroyed.
  void start(S3Call call);
  /// True where waiting for a call would wait for ever.
  bool on_own_thread() const { return client_->on_own_thread(); }

  const S3Counters& counters() const { return counters_; }
  const S3Endpoint& endpoint() const { return endpoint_; }

 private:
  struct Attempt {
    bool out = false;
    HttpClient::RequestId id = 0;
    Bytes buffer;  // of a hedge: two requests must not write to one place
  };
  struct Live {
    S3Call call;
    uint64_t number = 0;
    unsigned attempts = 0;
    bool may_have_acted = false;
    bool hedged = false;
    Attempt primary;
    Attempt hedge;
    /// Of the attempt that ended while the other one is out.
    std::optional<Verdict> held;
    std::string last_cause = "no answer came";
    std::optional<HttpClient::TimerId> deadline_timer;
    std::optional<HttpClient::TimerId> retry_timer;
    std::optional<HttpClient::TimerId> hedge_timer;
  };
  struct Inbox {
    std::vector<S3Call> calls;
    bool closing = false;
  };

  void take_inbox();
  void begin(S3Call call);
  void attempt(Live& live);
  void send(Live& live, Attempt& attempt, std::optional<MutableByteSpan> into);
  void on_answer(Live& live, Attempt& attempt, HttpAnswer answer);
  Verdict judge(Live& live, HttpAnswer& answer);
  void count(S3Trouble trouble);
  void arm_hedge_timer(Live& live, HttpClient::Time time);
  void consider_hedge(Live& live);
  void retry(Live& live);
  void give_up(Live& live, const std::string& why);
  void finish(Live& live, Result<void> result);
  WallTime wall_time() const;

  const S3Options options_;
  const S3Endpoint endpoint_;
  S3Counters counters_;
  std::atomic<uint64_t> under_way_{0};
  Guarded<Inbox> inbox_;

  // Of the client's thread.
  SigV4Signer signer_;
  Backoff backoff_;
  TokenBucket retry_budget_;
  HedgePolicy hedges_;
  uint64_t last_number_ = 0;
  std::unordered_map<uint64_t, std::unique_ptr<Live>> live_;

  std::unique_ptr<HttpClient> client_;  // last: its thread uses the others
};

}  // namespace thaw
