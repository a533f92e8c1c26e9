// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_caller.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {
namespace {

using std::chrono::milliseconds;

uint64_t seed_or_random(uint64_t seed) {
  while (seed == 0) fill_random(std::as_writable_bytes(std::span(&seed, 1)));
  return seed;
}

void add(std::atomic<uint64_t>& counter, uint64_t count = 1) {
  counter.fetch_add(count, std::memory_order_relaxed);
}

/// False if the server cannot have done what was asked: it never saw the request, or said no.
bool may_have_acted(const HttpAnswer& answer) {
  // The answer is to the last of them.
  if (answer.sends > 1) return true;
  if (answer.failure != HttpFailure::kNone) return answer.sends > 0;
  return answer.status >= 500 && answer.status != 503;
}

std::string attempts_text(unsigned attempts) {
  return attempts == 1 ? "1 attempt" : std::to_string(attempts) + " attempts";
}

}  // namespace

S3Caller::S3Caller(const S3Options& options, S3Endpoint endpoint, S3Credentials credentials)
    : options_(options),
      endpoint_(std::move(endpoint)),
      signer_(std::move(credentials), options.region, "s3"),
      backoff_(milliseconds(options.backoff_base_ms), milliseconds(options.backoff_cap_ms),
               seed_or_random(options.seed)),
      retry_budget_(options.retry_share, options.retry_reserve),
      hedges_(options.hedge_percentile, options.hedge_share, options.hedge_reserve),
      client_(std::make_unique<HttpClient>(
          HttpClientOptions{options.connections_max, options.ca_file}, [this] { take_inbox(); })) {}

S3Caller::~S3Caller() {
  inbox_.with([](Inbox& inbox) { inbox.closing = true; });
  client_->stop();
  CHECK(live_.empty());
}

WallTime S3Caller::wall_time() const {
  return options_.wall_clock ? options_.wall_clock() : std::chrono::system_clock::now();
}

void S3Caller::start(S3Call call) {
  if (under_way_.fetch_add(1) >= options_.calls_max) {
    under_way_.fetch_sub(1);
    add(counters_.calls_refused);
    call.done(fail(ErrorCode::kOverloaded, call.what + ": " + std::to_string(options_.calls_max) +
                                               " calls to the store are under way already"));
    return;
  }
  const bool taken = inbox_.with([&call](Inbox& inbox) {
    if (inbox.closing) return false;
    inbox.calls.push_back(std::move(call));
    return true;
  });
  if (taken) {
    client_->wake();
    return;
  }
  under_way_.fetch_sub(1);
  call.done(fail(ErrorCode::kInterrupted, call.what + ": the store is being closed"));
}

void S3Caller::take_inbox() {
  bool closing = false;
  std::vector<S3Call> calls = inbox_.with([&closing](Inbox& inbox) {
    closing = inbox.closing;
    return std::exchange(inbox.calls, {});
  });
  for (S3Call& call : calls) begin(std::move(call));
  if (!closing) return;
  while (!live_.empty()) {
    Live& live = *live_.begin()->second;
    finish(live, fail(ErrorCode::kInterrupted, live.call.what + ": the store is being closed"));
  }
}

void S3Caller::begin(S3Call call) {
  add(counters_.calls);
  retry_budget_.deposit();
  if (call.hedge) hedges_.begin();
  auto owned = std::make_unique<Live>();
  Live& live = *owned;
  live.call = std::move(call);
  live.number = ++last_number_;
  live_.emplace(live.number, std::move(owned));
  if (live.call.deadline != kNoDeadline) {
    live.deadline_timer = client_->run_at(live.call.deadline, [this, &live] {
      live.deadline_timer.reset();
      add(counters_.deadlines_passed);
      if (live.held && live.held->kind == Verdict::Kind::kFail) {
        finish(live, fail(std::move(live.held->error).with_context(live.call.what)));
        return;
      }
      give_up(live, "the deadline has passed");
    });
  }
  attempt(live);
}

void S3Caller::attempt(Live& live) {
  ++live.attempts;
  live.held.reset();
  send(live, live.primary, live.call.into);
  if (live.call.hedge && live.call.into && !live.hedged) {
    if (const auto delay = hedges_.delay()) {
      arm_hedge_timer(live, std::chrono::steady_clock::now() + *delay);
    }
  }
}

void S3Caller::send(Live& live, Attempt& attempt, std::optional<MutableByteSpan> into) {
  const S3Call& call = live.call;
  add(counters_.requests);
  add(counters_.bytes_out, call.body.size());
  const std::string path = endpoint_.path_of(call.key);
  const std::string query = canonical_query(call.query);
  HttpRequest request;
  request.method = call.method;
  request.url = endpoint_.url(path, query);
  request.headers = call.headers;
  request.headers.push_back({"host", endpoint_.host()});
  signer_.sign(call.method, path, query, call.payload_digest, wall_time(), request.headers);
  request.body = call.body;
  request.into = into;
  request.body_bytes_max = call.body_bytes_max;
  request.connect_timeout = milliseconds(options_.connect_timeout_ms);
  request.timeout = milliseconds(options_.attempt_timeout_ms);
  if (call.deadline != kNoDeadline) {
    const auto left =
        std::chrono::ceil<milliseconds>(call.deadline - std::chrono::steady_clock::now());
    request.timeout = std::clamp(left, milliseconds(1), request.timeout);
  }
  request.stall = milliseconds(options_.stall_ms);
  attempt.out = true;
  attempt.id = client_->start(std::move(request), [this, &live, &attempt](HttpAnswer answer) {
    // `live` is there: finish() cancels what is out before it drops a call.
    on_answer(live, attempt, std::move(answer));
  });
}

Verdict S3Caller::judge(Live& live, HttpAnswer& answer) {
  std::optional<Verdict> verdict = live.call.judge(answer, live.may_have_acted || answer.sends > 1);
  if (!verdict) {
    verdict = judge_answer(answer, {live.call.method, options_.bucket, endpoint_.base(),
                                    options_.region, options_.ca_file, wall_time()});
  }
  return std::move(*verdict);
}

void S3Caller::count(S3Trouble trouble) {
  switch (trouble) {
    case S3Trouble::kNone:
    case S3Trouble::kRefused:
      break;
    case S3Trouble::kTransport:
      add(counters_.transport_errors);
      break;
    case S3Trouble::kTimeout:
      add(counters_.timeouts);
      break;
    case S3Trouble::kServer:
      add(counters_.server_errors);
      break;
    case S3Trouble::kThrottle:
      add(counters_.throttles);
      break;
    case S3Trouble::kDenied:
      add(counters_.denials);
      break;
    case S3Trouble::kCorrupt:
      add(counters_.corrupt_answers);
      break;
    case S3Trouble::kBadAnswer:
      add(counters_.bad_answers);
      break;
  }
}

void S3Caller::on_answer(Live& live, Attempt& attempt, HttpAnswer answer) {
  attempt.out = false;
  add(counters_.bytes_in, answer.into_bytes + answer.body.size());
  Verdict verdict = judge(live, answer);
  count(verdict.trouble);
  live.may_have_acted |= may_have_acted(answer);
  const bool is_hedge = &attempt == &live.hedge;
  if (verdict.kind == Verdict::Kind::kOk) {
    if (live.call.hedge) hedges_.record(answer.elapsed);
    if (is_hedge) {
      add(counters_.hedge_wins);
      // The loser first: it writes to the same place.
      if (live.primary.out) client_->cancel(std::exchange(live.primary, {}).id);
      std::copy(attempt.buffer.begin(), attempt.buffer.end(), live.call.into->begin());
    }
    finish(live, {});
    return;
  }
  live.last_cause = verdict.error.message;
  const bool other_out = is_hedge ? live.primary.out : live.hedge.out;
  if (other_out) {
    // The other one may still bring it. Of two failures the final one counts.
    live.held = std::move(verdict);
    return;
  }
  if (live.held && live.held->kind == Verdict::Kind::kFail) verdict = std::move(*live.held);
  if (verdict.kind == Verdict::Kind::kFail) {
    finish(live, fail(std::move(verdict.error).with_context(live.call.what)));
    return;
  }
  retry(live);
}

void S3Caller::arm_hedge_timer(Live& live, HttpClient::Time time) {
  if (live.hedge_timer) client_->cancel_timer(*live.hedge_timer);
  live.hedge_timer = client_->run_at(time, [this, &live] {
    live.hedge_timer.reset();
    consider_hedge(live);
  });
}

void S3Caller::consider_hedge(Live& live) {
  if (!live.primary.out || live.hedged) return;
  const auto delay = hedges_.delay();
  CHECK(delay.has_value());
  // The time in the client's own queue is no sign of a slow server.
  const HttpClient::Time now = std::chrono::steady_clock::now();
  const std::optional<HttpClient::Time> begun = client_->begun_at(live.primary.id);
  if (!begun || now - *begun < *delay) {
    arm_hedge_timer(live, begun.value_or(now) + *delay);
    return;
  }
  if (!client_->has_room() || !hedges_.take()) {
    add(counters_.hedges_refused);
    return;
  }
  live.hedged = true;
  add(counters_.hedges);
  live.hedge.buffer.resize(live.call.into->size());
  send(live, live.hedge, live.hedge.buffer);
}

void S3Caller::retry(Live& live) {
  if (live.attempts >= options_.attempts_max) {
    give_up(live, "no more are made");
    return;
  }
  const HttpClient::Time at = std::chrono::steady_clock::now() + backoff_.wait(live.attempts);
  if (at >= live.call.deadline) {
    add(counters_.deadlines_passed);
    give_up(live, "the deadline leaves no time for another");
    return;
  }
  if (!retry_budget_.take()) {
    add(counters_.retry_budget_exhausted);
    give_up(live, "the budget of retries is used up, the store fails too often");
    return;
  }
  add(counters_.retries);
  live.retry_timer = client_->run_at(at, [this, &live] {
    live.retry_timer.reset();
    attempt(live);
  });
}

void S3Caller::give_up(Live& live, const std::string& why) {
  finish(live, fail(ErrorCode::kUnavailable, live.call.what + " at " + endpoint_.base() + ": " +
                                                 live.last_cause + " (" +
                                                 attempts_text(live.attempts) + "; " + why + ")"));
}

void S3Caller::finish(Live& live, Result<void> result) {
  for (Attempt* each : {&live.primary, &live.hedge}) {
    if (each->out) client_->cancel(each->id);
  }
  for (const auto& timer : {live.deadline_timer, live.retry_timer, live.hedge_timer}) {
    if (timer) client_->cancel_timer(*timer);
  }
  const auto found = live_.find(live.number);
  CHECK(found != live_.end());
  const std::unique_ptr<Live> owned = std::move(found->second);
  live_.erase(found);
  under_way_.fetch_sub(1);
  owned->call.done(std::move(result));
}

}  // namespace thaw
