// SPDX-License-Identifier: Apache-2.0
//
// HttpClient: many HTTP/1.1 requests at once on one thread of its own (libcurl multi), with kept
// connections, timers and cancellation. It knows nothing of S3. Redirects are not followed, proxies
// of the environment not used, nothing is repeated but what curl repeats on a dead kept connection.
//
// Its owner's logic runs on the same thread: in the wake callback, in timers and where requests are
// done. So that logic needs no locks, and a cancelled request touches its buffers no more.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/s3/http_message.h"

namespace thaw {

struct HttpClientOptions {
  /// Requests on the wire at once; the others wait in order. The caller bounds those.
  unsigned connections_max = 64;
  /// PEM file of the authorities to trust; empty: the system's.
  std::string ca_file;
};

class HttpClient {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using RequestId = uint64_t;
  using Done = std::function<void(HttpAnswer)>;
  using TimerId = std::pair<Time, uint64_t>;

  /// `on_wake` runs on the client's thread, once or more after each wake().
  HttpClient(HttpClientOptions options, std::function<void()> on_wake);
  /// stop(), if nobody has.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// Any thread.
  void wake();
  /// Runs on_wake a last time, drops what is left without calling anybody, joins. Not from the
  /// client's thread.
  void stop();
  bool on_own_thread() const;

  // The rest is for the client's thread only.

  /// `done` is called later, never before start() returns, unless the request is cancelled first.
  RequestId start(HttpRequest request, Done done);
  /// Its `done` is not called, its buffers are not touched any more. Unknown ids are ignored.
  void cancel(RequestId id);
  /// When the request left the queue; nullopt if it has not.
  std::optional<Time> begun_at(RequestId id) const;
  /// True if a request started now would not wait.
  bool has_room() const { return running_.size() < options_.connections_max && queue_.empty(); }

  TimerId run_at(Time time, std::function<void()> task);
  void cancel_timer(const TimerId& timer) { timers_.erase(timer); }

 private:
  struct Transfer;
  struct Waiting {
    RequestId id;
    HttpRequest request;
    Done done;
  };
  class Multi;

  void run();
  void run_due_timers();
  void begin_waiting();
  void begin(Waiting waiting);
  void take_answers();
  void finish(RequestId id, int curl_code);
  void arm_stall_timer(Transfer& transfer);
  int poll_timeout_ms() const;

  const HttpClientOptions options_;
  const std::function<void()> on_wake_;
  std::unique_ptr<Multi> multi_;
  std::atomic<bool> woken_{false};
  std::atomic<bool> stopping_{false};

  // Of the client's thread.
  uint64_t last_id_ = 0;
  std::deque<Waiting> queue_;
  std::unordered_map<RequestId, std::unique_ptr<Transfer>> running_;
  std::map<TimerId, std::function<void()>> timers_;

  std::thread thread_;  // last: what it uses is made before and goes after
};

}  // namespace thaw
