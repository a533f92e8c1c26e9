// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_store.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <optional>

#include "thaw/base/check.h"
#include "thaw/base/guarded.h"
#include "thaw/base/name.h"
#include "thaw/s3/s3_answers.h"

namespace thaw {
namespace {

/// What one removal may name, by S3's own limit.
constexpr size_t kKeysPerRemoval = 1000;
/// Error elements of a removal of 1000 keys of 1024 bytes, with room for their messages.
constexpr uint64_t kDeleteAnswerBytesMax = 8 * kMiB;
/// Pages without a key that a listing goes through before it gives up: S3 may answer some.
constexpr unsigned kEmptyPagesMax = 1000;

/// The end of one call, waited for by another thread.
class CallEnd {
 public:
  void set(Result<void> result) {
    const MutexLock lock(mutex_);
    result_ = std::move(result);
    // Under the lock: the one who waits may destroy this at once.
    ended_.notify_one();
  }
  Result<void> wait() {
    MutexLock lock(mutex_);
    while (!result_) lock.wait(ended_);
    return std::move(*result_);
  }

 private:
  Mutex mutex_;
  std::condition_variable ended_;
  std::optional<Result<void>> result_ GUARDED_BY(mutex_);
};

/// Several calls of one group, of which a bounded number is under way.
class CallGroup {
 public:
  explicit CallGroup(unsigned under_way_max) : under_way_max_(under_way_max) {}

  /// Waits for room. False once a call has failed: begin no more.
  bool enter() {
    MutexLock lock(mutex_);
    while (under_way_ >= under_way_max_ && !error_) lock.wait(changed_);
    if (error_) return false;
    ++under_way_;
    return true;
  }
  void leave(Result<void> result) {
    const MutexLock lock(mutex_);
    if (!result && !error_) error_ = std::move(result).error();
    --under_way_;
    changed_.notify_one();
  }
  /// Waits for all that began; the first error.
  Result<void> wait() {
    MutexLock lock(mutex_);
    while (under_way_ > 0) lock.wait(changed_);
    if (error_) return fail(*error_);
    return {};
  }

 private:
  const unsigned under_way_max_;
  Mutex mutex_;
  std::condition_variable changed_;
  unsigned under_way_ GUARDED_BY(mutex_) = 0;
  std::optional<Error> error_ GUARDED_BY(mutex_);
};

std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> content_length(const HttpAnswer& answer) {
  const std::string* header = answer.header("content-length");
  return header == nullptr ? std::nullopt : number_in(*header);
}

std::string md5_base64(ByteSpan bytes) {
  std::array<unsigned char, 16> digest{};
  unsigned length = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_md5(), nullptr) == 1);
  std::array<unsigned char, 25> text{};
  const int text_length = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(length));
  return {text.begin(), text.begin() + text_length};
}

Verdict wrong_size(const std::string& has, uint64_t expected) {
  return Verdict::fail(
      ErrorCode::kCorrupt,
      "the object has " + has + " bytes; " + std::to_string(expected) + " were expected",
      S3Trouble::kCorrupt);
}

/// S3 names the version of each object it takes or gives; a proxy's page of its own does not.
std::optional<Verdict> without_etag(const HttpAnswer& answer) {
  if (answer.header("etag") != nullptr) return std::nullopt;
  return Verdict::bad_answer("the server answered " + std::to_string(answer.status) +
                             " without an ETag, which S3 would not");
}

/// Of a GET whose whole object has to fill `expected` bytes.
std::optional<Verdict> judge_whole(const HttpAnswer& answer, uint64_t expected) {
  if (answer.status != 200) return std::nullopt;
  if (auto bad = without_etag(answer)) return bad;
  const std::optional<uint64_t> length = content_length(answer);
  if (answer.failure == HttpFailure::kTooLarge) {
    return wrong_size(length ? std::to_string(*length) : "more", expected);
  }
  if (answer.failure != HttpFailure::kNone) return std::nullopt;
  if (answer.into_bytes != expected) return wrong_size(std::to_string(answer.into_bytes), expected);
  return Verdict::ok();
}

struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

/// "bytes 0-9/443"; nullopt if it is anything else.
std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (!text.starts_with(kUnit) || dash == std::string_view::npos ||
      slash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  const auto first = number_in(text.substr(kUnit.size(), dash - kUnit.size()));
  const auto last = number_in(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return ContentRange{*first, *last};
}

std::optional<Verdict> judge_range(const HttpAnswer& answer, uint64_t offset, uint64_t bytes) {
  if (answer.status < 200 || answer.status > 299) return std::nullopt;
  if (answer.status == 206 && answer.failure == HttpFailure::kNone) {
    const std::string* header = answer.header("content-range");
    const auto range = header == nullptr ? std::nullopt : parse_content_range(*header);
    if (!range || range->first != offset || range->last - offset >= bytes) {
      return Verdict::bad_answer("the answer is not of the wanted range");
    }
    const uint64_t announced = range->last - offset + 1;
    if (answer.into_bytes != announced) {
      return Verdict::bad_answer("the answer has " + std::to_string(answer.into_bytes) +
                                 " bytes and announced " + std::to_string(announced));
    }
    if (announced == bytes) return Verdict::ok();
    return Verdict::fail(ErrorCode::kCorrupt,
                         "the object has " + std::to_string(range->last + 1) + " bytes; " +
                             std::to_string(bytes) + " were expected at " + std::to_string(offset),
                         S3Trouble::kCorrupt);
  }
  if (answer.failure != HttpFailure::kNone && answer.failure != HttpFailure::kTooLarge) {
    return std::nullopt;
  }
  return Verdict::bad_answer("the answer is not of the wanted range");
}

/// Of a PUT.
std::optional<Verdict> judge_stored(const HttpAnswer& answer) {
  if (!answer.is_success()) return std::nullopt;
  if (auto bad = without_etag(answer)) return bad;
  return Verdict::ok();
}

/// Of a DELETE.
std::optional<Verdict> judge_removed(const HttpAnswer& answer) {
  if (!answer.is_success()) return std::nullopt;
  if (answer.status == 204 || answer.body.empty()) return Verdict::ok();
  return Verdict::bad_answer("the server answered 200 with a text, which S3 would not");
}

/// Of a POST ?delete of `group`; `left` gets the keys that are worth another request.
Verdict judge_removals(const std::vector<S3DeleteError>& errors,
                       const std::vector<std::string>& group, std::vector<std::string>& left) {
  left.clear();
  std::string text;
  for (const S3DeleteError& error : errors) {
    if (error.code == "NoSuchKey") continue;
    if (std::find(group.begin(), group.end(), error.key) == group.end()) {
      return Verdict::bad_answer("the answer is about objects that were not to be removed");
    }
    text = quote(error.key) + ": " + quote(error.code) + " (" + quote(error.message) + ")";
    if (error.code == "AccessDenied") {
      return Verdict::fail(ErrorCode::kDenied, text + "; check that the key may delete",
                           S3Trouble::kDenied);
    }
    if (error.code != "InternalError" && error.code != "SlowDown" &&
        error.code != "ServiceUnavailable") {
      return Verdict::fail(ErrorCode::kInvalid, text, S3Trouble::kRefused);
    }
    left.push_back(error.key);
  }
  if (left.size() < group.size()) return Verdict::ok();
  return {Verdict::Kind::kRetry, {ErrorCode::kUnavailable, text}, S3Trouble::kServer};
}

}  // namespace

Result<std::unique_ptr<S3Store>> S3Store::create(const S3Options& options,
                                                 S3Credentials credentials) {
  TRY(options.validate());
  ASSIGN_OR_RETURN(S3Endpoint endpoint, S3Endpoint::create(options));
  return std::unique_ptr<S3Store>(
      new S3Store(options, std::move(endpoint), std::move(credentials)));
}

S3Store::S3Store(const S3Options& options, S3Endpoint endpoint, S3Credentials credentials)
    : options_(options),
      caller_(std::make_unique<S3Caller>(options, std::move(endpoint), std::move(credentials))) {}

std::string S3Store::describe() const {
  return "s3://" + options_.bucket + (options_.prefix.empty() ? "" : "/" + options_.prefix) +
         " at " + caller_->endpoint().base();
}

std::string S3Store::bucket_key(const std::string& key) const {
  return options_.prefix.empty() ? key : options_.prefix + "/" + key;
}

Deadline S3Store::default_deadline() const {
  return deadline_in(std::chrono::milliseconds(options_.request_deadline_ms));
}

S3Call S3Store::bucket_call(HttpMethod method, const char* verb) const {
  S3Call call;
  call.what = std::string("cannot ") + verb + " s3://" + options_.bucket;
  call.method = method;
  call.payload_digest = payload_digest({});
  call.deadline = default_deadline();
  return call;
}

S3Call S3Store::call_of(HttpMethod method, const char* verb, const std::string& key) const {
  S3Call call = bucket_call(method, verb);
  call.key = bucket_key(key);
  call.what += "/" + call.key;
  return call;
}

Result<void> S3Store::wait_for(S3Call call) const {
  CHECK(!caller_->on_own_thread());
  CallEnd end;
  call.done = [&end](Result<void> result) { end.set(std::move(result)); };
  caller_->start(std::move(call));
  Result<void> result = end.wait();
  if (result) bucket_seen_ = true;
  return result;
}

Result<void> S3Store::check() const {
  S3Call call = bucket_call(HttpMethod::kGet, "use");
  call.query = {{"list-type", "2"}, {"max-keys", "1"}};
  if (!options_.prefix.empty()) call.query.push_back({"prefix", options_.prefix + "/"});
  call.body_bytes_max = kListAnswerBytesMax;
  call.judge = [](HttpAnswer& answer, bool) -> std::optional<Verdict> {
    if (!answer.is_success()) return std::nullopt;
    const Result<S3ListAnswer> listing = parse_list_answer(answer.body);
    return listing ? Verdict::ok() : Verdict::bad_answer(listing.error().message);
  };
  return wait_for(std::move(call));
}

Result<void> S3Store::create_bucket() {
  // Amazon wants the region in the body, but not of its first region; others refuse names of
  // regions they do not know.
  std::string body;
  if (options_.endpoint.empty() && options_.region != "us-east-1") {
    body =
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<LocationConstraint>" +
        options_.region + "</LocationConstraint></CreateBucketConfiguration>";
  }
  S3Call call = bucket_call(HttpMethod::kPut, "create the bucket");
  call.body = as_bytes(body);
  call.payload_digest = payload_digest(call.body);
  call.judge = [](HttpAnswer& answer, bool) -> std::optional<Verdict> {
    if (answer.is_success()) return Verdict::ok();
    if (answer.failure != HttpFailure::kNone || answer.status != 409) return std::nullopt;
    const std::optional<S3ErrorAnswer> error = parse_error_answer(answer.body);
    if (error && error->code == "BucketAlreadyOwnedByYou") return Verdict::ok();
    if (error && error->code == "BucketAlreadyExists") {
      return Verdict::fail(ErrorCode::kDenied,
                           "the name is taken by somebody else; choose another one",
                           S3Trouble::kDenied);
    }
    return std::nullopt;
  };
  return wait_for(std::move(call));
}

Result<std::vector<PutOutcome>> S3Store::put_if_absent(std::span<const PutRequest> requests) {
  for (const PutRequest& request : requests) TRY(validate_key(request.key));
  enum class Outcome { kCreated, kExisted, kUnknown };
  std::vector<Outcome> outcomes(requests.size(), Outcome::kUnknown);
  CallGroup group(options_.puts_in_flight_max);
  CHECK(!caller_->on_own_thread());
  for (size_t i = 0; i < requests.size() && group.enter(); ++i) {
    const PutRequest& request = requests[i];
    S3Call call = call_of(HttpMethod::kPut, "put", request.key);
    call.headers = {{"if-none-match", "*"}};
    call.body = request.data;
    // On this thread, while those before it are on the wire.
    call.payload_digest = payload_digest(request.data);
    call.judge = [&outcome = outcomes[i]](HttpAnswer& answer,
                                          bool may_have_acted) -> std::optional<Verdict> {
      if (answer.is_success()) {
        outcome = Outcome::kCreated;
        return judge_stored(answer);
      }
      if (answer.failure != HttpFailure::kNone || answer.status != 412) return std::nullopt;
      // After a lost answer the object may be our own.
      outcome = may_have_acted ? Outcome::kUnknown : Outcome::kExisted;
      return Verdict::ok();
    };
    call.done = [&group](Result<void> result) { group.leave(std::move(result)); };
    caller_->start(std::move(call));
  }
  TRY(group.wait());
  bucket_seen_ = true;
  std::vector<PutOutcome> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    if (outcomes[i] == Outcome::kUnknown) {
      Bytes stored(requests[i].data.size());
      const Result<void> read = get_into(requests[i].key, stored);
      if (!read && read.error().code != ErrorCode::kCorrupt) {
        return fail(
            Error(read.error())
                .with_context("cannot tell whether the object was there before it was put"));
      }
      const bool ours = read && std::equal(stored.begin(), stored.end(), requests[i].data.begin());
      outcomes[i] = ours ? Outcome::kCreated : Outcome::kExisted;
    }
    results[i] = outcomes[i] == Outcome::kCreated ? PutOutcome::kCreated : PutOutcome::kExisted;
  }
  return results;
}

Result<void> S3Store::replace(const std::string& key, ByteSpan data) {
  TRY(validate_key(key));
  S3Call call = call_of(HttpMethod::kPut, "put", key);
  call.body = data;
  call.payload_digest = payload_digest(data);
  call.judge = [](HttpAnswer& answer, bool) { return judge_stored(answer); };
  return wait_for(std::move(call));
}

Result<Bytes> S3Store::get(const std::string& key, uint64_t bytes_max) const {
  TRY(validate_key(key));
  S3Call call = call_of(HttpMethod::kGet, "get", key);
  call.body_bytes_max = bytes_max;
  Bytes bytes;
  call.judge = [&bytes, bytes_max](HttpAnswer& answer, bool) -> std::optional<Verdict> {
    if (answer.status != 200) return std::nullopt;
    if (auto bad = without_etag(answer)) return bad;
    if (answer.failure == HttpFailure::kTooLarge) {
      const std::optional<uint64_t> length = content_length(answer);
      return Verdict::fail(ErrorCode::kExhausted,
                           "the object has " + (length ? std::to_string(*length) : "more") +
                               " bytes, more than the limit of " + std::to_string(bytes_max),
                           S3Trouble::kRefused);
    }
    if (answer.failure != HttpFailure::kNone) return std::nullopt;
    bytes = std::move(answer.body);
    return Verdict::ok();
  };
  TRY(wait_for(std::move(call)));
  return bytes;
}

S3Call S3Store::read_call(const std::string& key, MutableByteSpan out, Deadline deadline) const {
  S3Call call = call_of(HttpMethod::kGet, "get", key);
  call.into = out;
  call.hedge = true;
  call.deadline = deadline;
  call.judge = [expected = out.size()](HttpAnswer& answer, bool) {
    return judge_whole(answer, expected);
  };
  return call;
}

Result<void> S3Store::get_into(const std::string& key, MutableByteSpan out) const {
  TRY(validate_key(key));
  return wait_for(read_call(key, out, default_deadline()));
}

void S3Store::start_get(const std::string& key, MutableByteSpan out, Deadline deadline,
                        GetDone done) const {
  if (Result<void> valid = validate_key(key); !valid) {
    done(std::move(valid));
    return;
  }
  // Without a deadline a call would still end, after its attempts; this ends it when a blocking one
  // would.
  S3Call call = read_call(key, out, deadline == kNoDeadline ? default_deadline() : deadline);
  call.done = std::move(done);
  caller_->start(std::move(call));
}

Result<void> S3Store::get_range(const std::string& key, uint64_t offset,
                                MutableByteSpan out) const {
  TRY(validate_key(key));
  if (out.empty()) {
    // HTTP has no empty range.
    ASSIGN_OR_RETURN(const uint64_t size, size_of(key));
    if (offset <= size) return {};
    return fail(ErrorCode::kCorrupt, "s3://" + options_.bucket + "/" + bucket_key(key) + " has " +
                                         std::to_string(size) + " bytes; offset " +
                                         std::to_string(offset) + " was wanted");
  }
  if (offset > UINT64_MAX - out.size()) {
    return fail(ErrorCode::kCorrupt, "no object has bytes at " + std::to_string(offset) +
                                         ", which was wanted of " + key);
  }
  S3Call call = read_call(key, out, default_deadline());
  call.headers = {
      {"range", "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + out.size() - 1)}};
  call.judge = [offset, bytes = out.size()](HttpAnswer& answer, bool) {
    return judge_range(answer, offset, bytes);
  };
  return wait_for(std::move(call));
}

Result<uint64_t> S3Store::size_of(const std::string& key) const {
  S3Call call = call_of(HttpMethod::kHead, "look at", key);
  uint64_t size = 0;
  call.judge = [&size](HttpAnswer& answer, bool) -> std::optional<Verdict> {
    if (answer.failure != HttpFailure::kNone || answer.status != 200) return std::nullopt;
    if (auto bad = without_etag(answer)) return bad;
    const std::optional<uint64_t> length = content_length(answer);
    if (!length) return Verdict::bad_answer("the answer does not tell the object's size");
    size = *length;
    return Verdict::ok();
  };
  const Result<void> looked = wait_for(std::move(call));
  if (looked) return size;
  if (looked.error().code == ErrorCode::kNotFound && !bucket_seen_) {
    // The answer to a HEAD does not tell a missing object from a missing bucket.
    TRY(check());
  }
  return fail(looked.error());
}

Result<bool> S3Store::exists(const std::string& key) const {
  TRY(validate_key(key));
  const Result<uint64_t> size = size_of(key);
  if (size) return true;
  if (size.error().code == ErrorCode::kNotFound) return false;
  return fail(size.error());
}

Result<void> S3Store::remove(const std::string& key) {
  TRY(validate_key(key));
  S3Call call = call_of(HttpMethod::kDelete, "remove", key);
  call.judge = [](HttpAnswer& answer, bool) { return judge_removed(answer); };
  Result<void> removed = wait_for(std::move(call));
  // Amazon answers 204 for what is not there; others 404.
  if (!removed && removed.error().code == ErrorCode::kNotFound) return {};
  return removed;
}

Result<void> S3Store::remove_all(std::span<const std::string> keys) {
  for (const std::string& key : keys) TRY(validate_key(key));
  while (!keys.empty()) {
    const size_t count = std::min(keys.size(), kKeysPerRemoval);
    std::vector<std::string> group;
    for (const std::string& key : keys.first(count)) group.push_back(bucket_key(key));
    // Each round removes one at least.
    while (!group.empty()) {
      ASSIGN_OR_RETURN(group, remove_group(group));
    }
    keys = keys.subspan(count);
  }
  return {};
}

Result<std::vector<std::string>> S3Store::remove_group(const std::vector<std::string>& group) {
  // A valid key needs no escaping in XML.
  std::string body =
      "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
  for (const std::string& key : group) body += "<Object><Key>" + key + "</Key></Object>";
  body += "</Delete>";
  S3Call call = bucket_call(HttpMethod::kPost, "remove objects from");
  call.query = {{"delete", ""}};
  call.body = as_bytes(body);
  call.payload_digest = payload_digest(call.body);
  call.headers = {{"content-md5", md5_base64(call.body)}, {"content-type", "application/xml"}};
  call.body_bytes_max = kDeleteAnswerBytesMax;
  std::vector<std::string> left;
  call.judge = [&group, &left](HttpAnswer& answer, bool) -> std::optional<Verdict> {
    if (!answer.is_success()) return std::nullopt;
    const Result<std::vector<S3DeleteError>> errors = parse_delete_answer(answer.body);
    if (!errors) return Verdict::bad_answer(errors.error().message);
    return judge_removals(*errors, group, left);
  };
  TRY(wait_for(std::move(call)));
  return left;
}

Result<void> S3Store::list(const std::string& prefix, const Visit& visit) const {
  TRY(validate_prefix(prefix));
  const std::string own = options_.prefix.empty() ? "" : options_.prefix + "/";
  const std::string whole_prefix = own + prefix;
  const std::string what = "cannot list s3://" + options_.bucket + "/" + whole_prefix;
  std::string token;
  std::string last_key;
  bool any_key = false;
  unsigned empty_pages = 0;
  while (true) {
    S3Call call = bucket_call(HttpMethod::kGet, "list");
    call.what = what;
    call.query = {{"list-type", "2"},
                  {"encoding-type", "url"},
                  {"max-keys", std::to_string(options_.list_page_keys)}};
    if (!whole_prefix.empty()) call.query.push_back({"prefix", whole_prefix});
    if (!token.empty()) call.query.push_back({"continuation-token", token});
    call.body_bytes_max = kListAnswerBytesMax;
    S3ListAnswer page;
    call.judge = [&page, &whole_prefix](HttpAnswer& answer, bool) -> std::optional<Verdict> {
      if (!answer.is_success()) return std::nullopt;
      Result<S3ListAnswer> parsed = parse_list_answer(answer.body);
      if (!parsed) return Verdict::bad_answer(parsed.error().message);
      for (const S3ListEntry& entry : parsed->entries) {
        if (!entry.key.starts_with(whole_prefix)) {
          return Verdict::bad_answer("the listing has keys with another prefix");
        }
      }
      page = std::move(*parsed);
      return Verdict::ok();
    };
    TRY(wait_for(std::move(call)));
    for (const S3ListEntry& entry : page.entries) {
      // Also ends a listing that goes in circles.
      if (any_key && entry.key <= last_key) {
        return fail(ErrorCode::kUnsupported,
                    what + ": the server does not list in the ascending order of the keys' bytes");
      }
      last_key = entry.key;
      any_key = true;
      const std::string key = entry.key.substr(own.size());
      // What is no valid key is not ours, as a folder's marker.
      if (validate_key(key)) TRY(visit(key, entry.bytes));
    }
    if (!page.truncated) return {};
    empty_pages = page.entries.empty() ? empty_pages + 1 : 0;
    if (empty_pages > kEmptyPagesMax) {
      return fail(ErrorCode::kUnavailable, what + ": the server sends empty pages without end");
    }
    token = page.next_token;
  }
}

}  // namespace thaw
