// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstring>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/base/delay_line.h"
#include "thaw/base/guarded.h"

namespace thaw {
namespace {

constexpr size_t kStreamBlockBytes = 64 << 10;
constexpr std::string_view kNoHttp = "\x16\x03 this is no answer of any protocol\r\n\r\n";

using Clock = std::chrono::steady_clock;

/// close() will reset the connection instead of ending it.
void reset_on_close(MHD_Connection* connection) {
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info == nullptr) return;
  const linger at_once{1, 0};
  ::setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void send_raw(MHD_Connection* connection, std::string_view bytes) {
  const MHD_ConnectionInfo* info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info == nullptr) return;
  [[maybe_unused]] const ssize_t sent =
      ::send(info->connect_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

/// The HTTP side. libmicrohttpd's one thread calls on_*; an answer that is not due yet suspends its
/// connection, and the delay line's thread resumes it.
class S3Server::Transport {
 public:
  explicit Transport(S3ServerOptions options)
      : options_(std::move(options)), state_(State(options_)) {}
  ~Transport() { stop(); }
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Result<void> listen();
  void set_chaos(S3Chaos plan);

  template <typename F>
  decltype(auto) with_service(F&& function) const {
    return state_.with([&](State& state) -> decltype(auto) { return function(state.service); });
  }
  bool wait_for_in_flight(uint64_t requests, std::chrono::milliseconds limit) const;

  const S3ServerOptions& options() const { return options_; }
  uint16_t port() const { return port_; }
  bool is_tls() const { return !options_.certificate_pem.empty(); }
  void set_clock_offset(std::chrono::seconds offset) {
    state_.with([&](State& state) { state.clock_offset = offset; });
  }

 private:
  /// From the request line to the end of the answer; libmicrohttpd's thread only.
  struct Exchange {
    enum class Step { kHeaders, kBody, kWaiting };
    S3Request request;
    Step step = Step::kHeaders;
    bool too_large = false;
    S3Answer answer;
  };
  /// An answer whose body goes wrong on its way.
  struct FaultyStream {
    Transport* transport;
    MHD_Connection* connection;
    S3Body body;
    uint64_t offset = 0;
    uint64_t bytes = 0;  // after which it goes wrong
    S3Fault fault = S3Fault::kNone;
    bool stalled = false;
  };
  struct State {
    explicit State(const S3ServerOptions& options) : service(options) {}
    S3Service service;
    std::chrono::seconds clock_offset{0};
    std::vector<MHD_Connection*> held;
    bool stopping = false;
  };

  static void* on_request_line(void* self, const char* target, MHD_Connection* connection);
  static MHD_Result on_access(void* self, MHD_Connection* connection, const char* url,
                              const char* method, const char* version, const char* data,
                              size_t* bytes, void** exchange);
  static void on_completed(void* self, MHD_Connection* connection, void** exchange,
                           MHD_RequestTerminationCode code);
  static void on_connection(void* self, MHD_Connection* connection, void** context,
                            MHD_ConnectionNotificationCode code);
  static ssize_t on_stream(void* stream, uint64_t position, char* out, size_t bytes_max);

  MHD_Result access(MHD_Connection* connection, const char* method, const char* data, size_t* bytes,
                    Exchange& exchange);
  /// Decides the answer; true if the connection was suspended until it is due.
  bool decide(MHD_Connection* connection, Exchange& exchange);
  MHD_Result send(MHD_Connection* connection, Exchange& exchange);
  MHD_Response* faulty_response(MHD_Connection* connection, const S3Answer& answer);
  /// Suspends the connection until `due`; false if the server stops.
  bool suspend_until(MHD_Connection* connection, Clock::time_point due);
  void stop();

  const S3ServerOptions options_;
  mutable Guarded<State> state_;
  std::unique_ptr<DelayLine> delays_ = std::make_unique<DelayLine>();
  MHD_Daemon* daemon_ = nullptr;
  uint16_t port_ = 0;
};

Result<void> S3Server::Transport::listen() {
  if (options_.certificate_pem.empty() != options_.key_pem.empty()) {
    return fail(ErrorCode::kInvalid, "an https server needs a certificate and its key");
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  if (::inet_pton(AF_INET, options_.bind.c_str(), &address.sin_addr) != 1) {
    return fail(ErrorCode::kInvalid, "'" + options_.bind + "' is no IPv4 address");
  }
  unsigned flags =
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_SUPPRESS_DATE_NO_CLOCK;
  std::vector<MHD_OptionItem> tls;
  if (is_tls()) {
    flags |= MHD_USE_TLS;
    // SAFETY: libmicrohttpd takes both as const char*.
    tls.push_back(
        {MHD_OPTION_HTTPS_MEM_CERT, 0, const_cast<char*>(options_.certificate_pem.c_str())});
    tls.push_back({MHD_OPTION_HTTPS_MEM_KEY, 0, const_cast<char*>(options_.key_pem.c_str())});
  }
  tls.push_back({MHD_OPTION_END, 0, nullptr});
  daemon_ =
      MHD_start_daemon(flags, options_.port, nullptr, nullptr, &Transport::on_access, this,  //
                       MHD_OPTION_SOCK_ADDR, &address,                                       //
                       MHD_OPTION_CONNECTION_LIMIT, kConnectionsMax,                         //
                       MHD_OPTION_URI_LOG_CALLBACK, &Transport::on_request_line, this,       //
                       MHD_OPTION_NOTIFY_COMPLETED, &Transport::on_completed, this,          //
                       MHD_OPTION_NOTIFY_CONNECTION, &Transport::on_connection, this,        //
                       MHD_OPTION_ARRAY, tls.data(),                                         //
                       MHD_OPTION_END);
  if (daemon_ == nullptr) {
    return fail(ErrorCode::kUnavailable,
                "the fake S3 server cannot listen on " + options_.bind + ":" +
                    std::to_string(options_.port) +
                    ": the port is taken, or the certificate and its key cannot be used");
  }
  port_ = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
  return {};
}

void S3Server::Transport::stop() {
  std::vector<MHD_Connection*> held;
  state_.with([&](State& state) {
    state.stopping = true;
    held.swap(state.held);
  });
  for (MHD_Connection* connection : held) MHD_resume_connection(connection);
  // Resumes what waits for its time; nothing is suspended any more from here on.
  delays_.reset();
  if (daemon_ != nullptr) MHD_stop_daemon(std::exchange(daemon_, nullptr));
}

void S3Server::Transport::set_chaos(S3Chaos plan) {
  state_.with([&](State& state) {
    state.service.set_chaos(std::move(plan));
    for (MHD_Connection* connection : state.held) MHD_resume_connection(connection);
    state.held.clear();
  });
}

bool S3Server::Transport::wait_for_in_flight(uint64_t requests,
                                             std::chrono::milliseconds limit) const {
  // Polled: nothing is timed here, and libmicrohttpd's thread has nobody to wake.
  const Clock::time_point end = Clock::now() + limit;
  while (with_service([](S3Service& service) { return service.counts().in_flight; }) < requests) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

bool S3Server::Transport::suspend_until(MHD_Connection* connection, Clock::time_point due) {
  return state_.with([&](State& state) {
    if (state.stopping) return false;
    MHD_suspend_connection(connection);
    delays_->run_at(due, [connection] { MHD_resume_connection(connection); });
    return true;
  });
}

void* S3Server::Transport::on_request_line(void* self, const char* target, MHD_Connection*) {
  auto exchange = std::make_unique<Exchange>();
  exchange->request.target = target;
  static_cast<Transport*>(self)->with_service([](S3Service& service) {
    S3Counts& counts = service.counts();
    counts.in_flight_max = std::max(counts.in_flight_max, ++counts.in_flight);
  });
  return exchange.release();  // on_completed() takes it back
}

void S3Server::Transport::on_completed(void* self, MHD_Connection*, void** exchange,
                                       MHD_RequestTerminationCode) {
  const std::unique_ptr<Exchange> owned(static_cast<Exchange*>(std::exchange(*exchange, nullptr)));
  if (owned == nullptr) return;
  static_cast<Transport*>(self)->with_service(
      [](S3Service& service) { --service.counts().in_flight; });
}

void S3Server::Transport::on_connection(void* self, MHD_Connection*, void**,
                                        MHD_ConnectionNotificationCode code) {
  if (code != MHD_CONNECTION_NOTIFY_STARTED) return;
  static_cast<Transport*>(self)->with_service(
      [](S3Service& service) { ++service.counts().connections; });
}

MHD_Result S3Server::Transport::on_access(void* self, MHD_Connection* connection, const char*,
                                          const char* method, const char*, const char* data,
                                          size_t* bytes, void** exchange) {
  return static_cast<Transport*>(self)->access(connection, method, data, bytes,
                                               *static_cast<Exchange*>(*exchange));
}

MHD_Result S3Server::Transport::access(MHD_Connection* connection, const char* method,
                                       const char* data, size_t* bytes, Exchange& exchange) {
  S3Request& request = exchange.request;
  if (exchange.step == Exchange::Step::kHeaders) {
    exchange.step = Exchange::Step::kBody;
    request.method = method;
    const auto take = [](void* to, MHD_ValueKind, const char* name, const char* value) {
      std::string lower(name);
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      static_cast<S3Pairs*>(to)->emplace_back(std::move(lower), value == nullptr ? "" : value);
      return MHD_YES;
    };
    MHD_get_connection_values(connection, MHD_HEADER_KIND, take, &request.headers);
    return MHD_YES;
  }
  if (*bytes > 0) {
    exchange.too_large = exchange.too_large || request.body.size() + *bytes > kBodyBytesMax;
    if (!exchange.too_large) {
      const ByteSpan part = as_bytes(std::string_view(data, *bytes));
      request.body.insert(request.body.end(), part.begin(), part.end());
    }
    *bytes = 0;
    return MHD_YES;
  }
  if (exchange.step == Exchange::Step::kBody) {
    exchange.step = Exchange::Step::kWaiting;
    if (decide(connection, exchange)) return MHD_YES;
  }
  return send(connection, exchange);
}

bool S3Server::Transport::decide(MHD_Connection* connection, Exchange& exchange) {
  if (exchange.too_large) {
    exchange.answer.status = MHD_HTTP_CONTENT_TOO_LARGE;
    return false;
  }
  bool held = false;
  std::optional<Clock::time_point> due;
  state_.with([&](State& state) {
    const S3Time now =
        std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now()) +
        state.clock_offset;
    exchange.answer = state.service.handle(exchange.request, now);
    const S3Answer& answer = exchange.answer;
    if (!answer.fate.delayed || state.stopping) return;
    S3Fates& fates = state.service.fates();
    if (fates.plan().hold) {
      MHD_suspend_connection(connection);
      state.held.push_back(connection);
      held = true;
    } else if (const auto at = fates.due(Clock::now(), answer.bytes); at > Clock::now()) {
      due = at;
    }
  });
  return held || (due && suspend_until(connection, *due));
}

MHD_Result S3Server::Transport::send(MHD_Connection* connection, Exchange& exchange) {
  const S3Answer& answer = exchange.answer;
  const S3Fault fault = answer.fate.fault;
  if (state_.with([](const State& state) { return state.stopping; })) return MHD_NO;
  if (fault == S3Fault::kReset) {
    reset_on_close(connection);
    return MHD_NO;
  }
  if (fault == S3Fault::kLostAnswer) return MHD_NO;
  if (answer.status == 0) {
    if (!is_tls()) send_raw(connection, kNoHttp);
    return MHD_NO;
  }
  MHD_Response* response = nullptr;
  if (fault == S3Fault::kStall || fault == S3Fault::kCut || fault == S3Fault::kTruncate) {
    response = faulty_response(connection, answer);
  } else if (answer.bytes == 0) {
    response = MHD_create_response_from_buffer(0, nullptr, MHD_RESPMEM_PERSISTENT);
  } else {
    auto* body = new S3Body(answer.body);  // the response frees it
    // SAFETY: libmicrohttpd only reads the buffer.
    auto* data = const_cast<std::byte*>(answer.body->bytes.data()) + answer.offset;
    response = MHD_create_response_from_buffer_with_free_callback_cls(
        answer.bytes, data, [](void* owned) { delete static_cast<S3Body*>(owned); }, body);
  }
  CHECK(response != nullptr);
  for (const auto& [name, value] : answer.headers) {
    MHD_add_response_header(response, name.c_str(), value.c_str());
  }
  const bool has_body = exchange.request.method != "HEAD";
  with_service([&](S3Service& service) {
    ++service.counts().statuses[answer.status];
    if (has_body) service.counts().bytes_out += answer.bytes;
  });
  const MHD_Result queued = MHD_queue_response(connection, answer.status, response);
  MHD_destroy_response(response);
  return queued;
}

MHD_Response* S3Server::Transport::faulty_response(MHD_Connection* connection,
                                                   const S3Answer& answer) {
  const S3Fault fault = answer.fate.fault;
  auto* stream = new FaultyStream{this, connection, answer.body, answer.offset, 0, fault};
  if (fault != S3Fault::kStall) stream->bytes = answer.fate.random % answer.bytes;
  return MHD_create_response_from_callback(
      answer.bytes, kStreamBlockBytes, &Transport::on_stream, stream,
      [](void* owned) { delete static_cast<FaultyStream*>(owned); });
}

ssize_t S3Server::Transport::on_stream(void* self, uint64_t position, char* out, size_t bytes_max) {
  auto& stream = *static_cast<FaultyStream*>(self);
  if (position < stream.bytes) {
    const auto bytes = static_cast<size_t>(std::min<uint64_t>(bytes_max, stream.bytes - position));
    std::memcpy(out, stream.body->bytes.data() + stream.offset + position, bytes);
    return static_cast<ssize_t>(bytes);
  }
  if (stream.fault == S3Fault::kStall && !std::exchange(stream.stalled, true)) {
    const auto limit = stream.transport->with_service(
        [](S3Service& service) { return service.fates().plan().stall_max; });
    if (stream.transport->suspend_until(stream.connection, Clock::now() + limit)) return 0;
  }
  if (stream.fault == S3Fault::kCut) reset_on_close(stream.connection);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

Result<std::unique_ptr<S3Server>> S3Server::start(S3ServerOptions options) {
  auto transport = std::make_unique<Transport>(std::move(options));
  TRY(transport->listen());
  return std::unique_ptr<S3Server>(new S3Server(std::move(transport)));
}

S3Server::S3Server(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}
S3Server::~S3Server() = default;

uint16_t S3Server::port() const { return transport_->port(); }

std::string S3Server::endpoint() const {
  return (transport_->is_tls() ? "https://" : "http://") + transport_->options().bind + ":" +
         std::to_string(port());
}

const S3ServerOptions& S3Server::options() const { return transport_->options(); }

std::string S3Server::describe() const {
  return "fake S3 at " + endpoint() + ", " + transport_->with_service([](S3Service& service) {
    return service.fates().plan().describe();
  });
}

void S3Server::set_chaos(S3Chaos plan) { transport_->set_chaos(std::move(plan)); }

void S3Server::set_clock_offset(std::chrono::seconds offset) {
  transport_->set_clock_offset(offset);
}

void S3Server::set_page_keys_max(uint64_t keys) {
  transport_->with_service([&](S3Service& service) { service.buckets().set_page_keys_max(keys); });
}

S3Counts S3Server::counts() const {
  return transport_->with_service([](S3Service& service) { return service.counts(); });
}

uint64_t S3Server::gets_of(const std::string& key) const {
  return transport_->with_service([&](S3Service& service) {
    const auto found = service.gets().find(key);
    return found == service.gets().end() ? uint64_t{0} : found->second;
  });
}

uint64_t S3Server::distinct_gets() const {
  return transport_->with_service([](S3Service& service) { return service.gets().size(); });
}

std::vector<std::string> S3Server::violations() const {
  return transport_->with_service([](S3Service& service) { return service.violations(); });
}

void S3Server::forget() {
  transport_->with_service([](S3Service& service) { service.forget(); });
}

bool S3Server::wait_for_in_flight(uint64_t requests, std::chrono::milliseconds limit) const {
  return transport_->wait_for_in_flight(requests, limit);
}

std::optional<Bytes> S3Server::object(const std::string& bucket, const std::string& key) const {
  const S3Body body = transport_->with_service(
      [&](S3Service& service) { return service.buckets().object(bucket, key); });
  if (body == nullptr) return std::nullopt;
  return body->bytes;
}

void S3Server::set_object(const std::string& bucket, const std::string& key, Bytes bytes) {
  transport_->with_service(
      [&](S3Service& service) { service.buckets().set_object(bucket, key, std::move(bytes)); });
}

void S3Server::remove_object(const std::string& bucket, const std::string& key) {
  transport_->with_service(
      [&](S3Service& service) { service.buckets().remove_object(bucket, key); });
}

std::vector<std::string> S3Server::keys(const std::string& bucket) const {
  return transport_->with_service(
      [&](S3Service& service) { return service.buckets().keys(bucket); });
}

}  // namespace thaw
