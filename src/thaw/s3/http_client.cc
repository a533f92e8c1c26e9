// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string_view>

#include "thaw/base/check.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

constexpr long kReceiveBufferBytes = 256 * 1024;  // fewer system calls for a chunk
constexpr size_t kHeadersMax = 100;
constexpr size_t kHeaderLineBytesMax = 8 * kKiB;
/// Nothing is due: how long the thread sleeps if nobody wakes it.
constexpr std::chrono::milliseconds kIdlePoll{10'000};

HttpFailure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpFailure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
      return HttpFailure::kResolve;
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
      return HttpFailure::kConnect;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
      return HttpFailure::kTls;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFailure::kTimeout;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
      return HttpFailure::kReset;
    default:
      return HttpFailure::kProtocol;
  }
}

class HeaderList {
 public:
  HeaderList() = default;
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;

  void add(const std::string& line) {
    curl_slist* longer = curl_slist_append(list_, line.c_str());
    CHECK(longer != nullptr);
    list_ = longer;
  }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

/// An option that curl refuses would change what is sent: a bug.
template <typename T>
void set(CURL* easy, CURLoption option, T value) {
  CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
}

}  // namespace

/// The curl multi handle, and curl's own global state, which counts its users.
class HttpClient::Multi {
 public:
  explicit Multi(unsigned connections_max) {
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    handle_ = curl_multi_init();
    CHECK(handle_ != nullptr);
    // Queued by us, so that the time in the queue does not count as the request's.
    curl_multi_setopt(handle_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections_max));
  }
  ~Multi() {
    curl_multi_cleanup(handle_);
    curl_global_cleanup();
  }
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;
  CURLM* get() const { return handle_; }

 private:
  CURLM* handle_;
};

/// A request on the wire. curl calls back into it, always on the client's thread and inside
/// curl_multi_perform().
struct HttpClient::Transfer {
  RequestId id = 0;
  HttpRequest request;
  Done done;
  CURLM* multi = nullptr;
  std::unique_ptr<CURL, FreeEasy> easy;
  HeaderList header_lines;
  char error_text[CURL_ERROR_SIZE] = {};
  HttpAnswer answer;
  size_t body_sent = 0;
  bool too_large = false;
  bool stalled = false;
  Time begun{};
  Time last_byte{};
  std::optional<TimerId> stall_timer;

  ~Transfer() {
    if (easy != nullptr && multi != nullptr) curl_multi_remove_handle(multi, easy.get());
  }

  void touch() { last_byte = std::chrono::steady_clock::now(); }

  size_t take_header(std::string_view line) {
    touch();
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      // A new answer, after an informational one say.
      answer.headers.clear();
      return line.size();
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || answer.headers.size() >= kHeadersMax ||
        line.size() > kHeaderLineBytesMax) {
      return line.size();
    }
    HttpHeader header{std::string(line.substr(0, colon)), ""};
    std::transform(header.name.begin(), header.name.end(), header.name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
    header.value = std::string(value);
    answer.headers.push_back(std::move(header));
    return line.size();
  }

  /// False ends the transfer.
  bool take_body(ByteSpan bytes) {
    touch();
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    const bool success = status >= 200 && status <= 299;
    if (success && request.into) {
      if (bytes.size() > request.into->size() - answer.into_bytes) {
        too_large = true;
        return false;
      }
      std::memcpy(request.into->data() + answer.into_bytes, bytes.data(), bytes.size());
      answer.into_bytes += bytes.size();
      return true;
    }
    const uint64_t bytes_max = success ? request.body_bytes_max : kErrorBodyBytesMax;
    if (bytes.size() > bytes_max - answer.body.size()) {
      too_large = true;
      return false;
    }
    answer.body.insert(answer.body.end(), bytes.begin(), bytes.end());
    return true;
  }

  size_t give_body(MutableByteSpan room) {
    touch();
    const size_t count = std::min(room.size(), request.body.size() - body_sent);
    if (count > 0) std::memcpy(room.data(), request.body.data() + body_sent, count);
    body_sent += count;
    return count;
  }
};

namespace {

// SAFETY: curl hands back the pointer that was set with each of these callbacks.
template <typename Transfer>
size_t on_header(char* data, size_t size, size_t count, void* transfer) {
  static_cast<Transfer*>(transfer)->take_header({data, size * count});
  return size * count;
}

template <typename Transfer>
size_t on_body(char* data, size_t size, size_t count, void* transfer) {
  const ByteSpan bytes = std::as_bytes(std::span(data, size * count));
  return static_cast<Transfer*>(transfer)->take_body(bytes) ? bytes.size() : CURL_WRITEFUNC_ERROR;
}

template <typename Transfer>
size_t on_upload(char* room, size_t size, size_t count, void* transfer) {
  return static_cast<Transfer*>(transfer)->give_body(
      std::as_writable_bytes(std::span(room, size * count)));
}

template <typename Transfer>
int on_rewind(void* transfer, curl_off_t offset, int origin) {
  auto* self = static_cast<Transfer*>(transfer);
  if (origin != SEEK_SET || offset < 0 ||
      static_cast<uint64_t>(offset) > self->request.body.size()) {
    return CURL_SEEKFUNC_FAIL;
  }
  self->body_sent = static_cast<size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

template <typename Transfer>
int on_send(void* transfer, char*, char*, int, int) {
  auto* self = static_cast<Transfer*>(transfer);
  ++self->answer.sends;
  self->touch();
  return CURL_PREREQFUNC_OK;
}

}  // namespace

HttpClient::HttpClient(HttpClientOptions options, std::function<void()> on_wake)
    : options_(std::move(options)),
      on_wake_(std::move(on_wake)),
      multi_(std::make_unique<Multi>(options_.connections_max)),
      thread_([this] {
        const SignalsBlocked blocked;
        return std::thread([this] { run(); });
      }()) {}

HttpClient::~HttpClient() { stop(); }

void HttpClient::wake() {
  // One wake-up serves all calls until the thread has seen it.
  if (!woken_.exchange(true)) curl_multi_wakeup(multi_->get());
}

void HttpClient::stop() {
  if (!thread_.joinable()) return;
  CHECK(!on_own_thread());
  stopping_ = true;
  woken_ = true;
  curl_multi_wakeup(multi_->get());
  thread_.join();
}

bool HttpClient::on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

void HttpClient::run() {
  while (true) {
    // Read before on_wake: what comes later sets `woken_` and wakes the poll below.
    const bool last = stopping_;
    if (woken_.exchange(false) || last) on_wake_();
    if (last) break;
    run_due_timers();
    begin_waiting();
    int running = 0;
    CHECK(curl_multi_perform(multi_->get(), &running) == CURLM_OK);
    take_answers();
    // What was done may have started something: it must not wait for the poll.
    const bool more = !queue_.empty() && running_.size() < options_.connections_max;
    curl_multi_poll(multi_->get(), nullptr, 0, more ? 0 : poll_timeout_ms(), nullptr);
  }
  queue_.clear();
  running_.clear();
  timers_.clear();
}

int HttpClient::poll_timeout_ms() const {
  if (timers_.empty()) return static_cast<int>(kIdlePoll.count());
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first.first -
                                                                 std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp(wait, std::chrono::milliseconds(0), kIdlePoll).count());
}

HttpClient::TimerId HttpClient::run_at(Time time, std::function<void()> task) {
  const TimerId timer{time, ++last_id_};
  timers_.emplace(timer, std::move(task));
  return timer;
}

void HttpClient::run_due_timers() {
  const Time now = std::chrono::steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const std::function<void()> task = std::move(timers_.extract(timers_.begin()).mapped());
    task();
  }
}

HttpClient::RequestId HttpClient::start(HttpRequest request, Done done) {
  const RequestId id = ++last_id_;
  queue_.push_back({id, std::move(request), std::move(done)});
  return id;
}

void HttpClient::cancel(RequestId id) {
  if (const auto found = running_.find(id); found != running_.end()) {
    if (found->second->stall_timer) cancel_timer(*found->second->stall_timer);
    running_.erase(found);
    return;
  }
  std::erase_if(queue_, [id](const Waiting& waiting) { return waiting.id == id; });
}

std::optional<HttpClient::Time> HttpClient::begun_at(RequestId id) const {
  const auto found = running_.find(id);
  if (found == running_.end()) return std::nullopt;
  return found->second->begun;
}

void HttpClient::begin_waiting() {
  while (!queue_.empty() && running_.size() < options_.connections_max) {
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    begin(std::move(waiting));
  }
}

void HttpClient::begin(Waiting waiting) {
  auto owned = std::make_unique<Transfer>();
  Transfer& transfer = *owned;
  transfer.id = waiting.id;
  transfer.request = std::move(waiting.request);
  transfer.done = std::move(waiting.done);
  transfer.easy.reset(curl_easy_init());
  CURL* easy = transfer.easy.get();
  CHECK(easy != nullptr);
  const HttpRequest& request = transfer.request;

  set(easy, CURLOPT_URL, request.url.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_PROXY, "");
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  // A name server that does not answer holds up nobody who gives up on it.
  set(easy, CURLOPT_QUICK_EXIT, 1L);
  set(easy, CURLOPT_ERRORBUFFER, static_cast<char*>(transfer.error_text));
  set(easy, CURLOPT_PRIVATE, static_cast<void*>(&transfer));
  if (!options_.ca_file.empty()) {
    set(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<char*>(nullptr));
  }
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
  // 0 would be for ever.
  set(easy, CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(request.timeout.count())));
  set(easy, CURLOPT_HEADERFUNCTION, &on_header<Transfer>);
  set(easy, CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(easy, CURLOPT_WRITEFUNCTION, &on_body<Transfer>);
  set(easy, CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(easy, CURLOPT_PREREQFUNCTION, &on_send<Transfer>);
  set(easy, CURLOPT_PREREQDATA, static_cast<void*>(&transfer));

  if (request.method == HttpMethod::kHead) set(easy, CURLOPT_NOBODY, 1L);
  if (request.method == HttpMethod::kPut || request.method == HttpMethod::kPost) {
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(easy, CURLOPT_READFUNCTION, &on_upload<Transfer>);
    set(easy, CURLOPT_READDATA, static_cast<void*>(&transfer));
    set(easy, CURLOPT_SEEKFUNCTION, &on_rewind<Transfer>);
    set(easy, CURLOPT_SEEKDATA, static_cast<void*>(&transfer));
    transfer.header_lines.add("Expect:");  // or curl would wait a second for a permission
  }
  if (request.method != HttpMethod::kGet && request.method != HttpMethod::kHead) {
    set(easy, CURLOPT_CUSTOMREQUEST, to_string(request.method));
  }
  for (const HttpHeader& header : request.headers) {
    // "name;" is how curl is told of a header without a value.
    transfer.header_lines.add(header.value.empty() ? header.name + ";"
                                                   : header.name + ": " + header.value);
  }
  set(easy, CURLOPT_HTTPHEADER, transfer.header_lines.get());

  transfer.begun = std::chrono::steady_clock::now();
  transfer.last_byte = transfer.begun;
  CHECK(curl_multi_add_handle(multi_->get(), easy) == CURLM_OK);
  transfer.multi = multi_->get();
  running_.emplace(transfer.id, std::move(owned));
  arm_stall_timer(transfer);
}

void HttpClient::arm_stall_timer(Transfer& transfer) {
  // Bytes move the end without touching the timer: it looks when it fires.
  transfer.stall_timer =
      run_at(transfer.last_byte + transfer.request.stall, [this, id = transfer.id] {
        const auto found = running_.find(id);
        if (found == running_.end()) return;
        Transfer& late = *found->second;
        if (std::chrono::steady_clock::now() < late.last_byte + late.request.stall) {
          arm_stall_timer(late);
          return;
        }
        late.stalled = true;
        finish(id, CURLE_OPERATION_TIMEDOUT);
      });
}

void HttpClient::take_answers() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_->get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    Transfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    finish(transfer->id, code);
  }
}

void HttpClient::finish(RequestId id, int curl_code) {
  const auto found = running_.find(id);
  CHECK(found != running_.end());
  const std::unique_ptr<Transfer> transfer = std::move(found->second);
  running_.erase(found);
  if (transfer->stall_timer) cancel_timer(*transfer->stall_timer);
  const auto code = static_cast<CURLcode>(curl_code);
  HttpAnswer& answer = transfer->answer;
  answer.failure = failure_of(code);
  if (transfer->too_large) answer.failure = HttpFailure::kTooLarge;
  if (transfer->stalled) answer.failure = HttpFailure::kStalled;
  if (transfer->stalled) {
    answer.detail = "no byte for " + std::to_string(transfer->request.stall.count()) + " ms";
  } else if (answer.failure != HttpFailure::kNone) {
    answer.detail =
        transfer->error_text[0] != '\0' ? transfer->error_text : curl_easy_strerror(code);
  }
  long status = 0;
  curl_easy_getinfo(transfer->easy.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  answer.elapsed = std::chrono::steady_clock::now() - transfer->begun;
  // Off the multi handle first: nothing may be written once the owner knows.
  curl_multi_remove_handle(transfer->multi, transfer->easy.get());
  transfer->multi = nullptr;
  transfer->done(std::move(answer));
}

}  // namespace thaw
