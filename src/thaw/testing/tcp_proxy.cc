// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <map>
#include <sstream>
#include <thread>
#include <utility>

#include "thaw/base/check.h"
#include "thaw/base/guarded.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBacklog = 1024;
constexpr size_t kEventsMax = 64;
// Both sockets of a connection carry its number; these are not of any.
constexpr uint64_t kWakeTag = 0;
constexpr uint64_t kListenTag = 1;
constexpr uint64_t kFirstConnection = 2;
// Keeps the flows of one seed apart from those of the next.
constexpr uint64_t kSeedStep = 1'000'003;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Result<Fd> make_socket() {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("cannot make a socket", errno);
  return socket;
}

/// The port stays ours while a socket is bound to it; connections are accepted only while one
/// listens.
Result<Fd> bind_loopback(uint16_t port) {
  ASSIGN_OR_RETURN(Fd socket, make_socket());
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  // SAFETY: the sockets API takes every address as sockaddr.
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno("the TCP proxy cannot bind port " + std::to_string(port), errno);
  }
  return socket;
}

void reset(Fd& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.reset();
}

void describe_fault(std::ostringstream& text, const char* direction, const TcpFault& fault) {
  if (fault.delay.count() > 0)
    text << ", " << direction << " delay " << fault.delay.count() << " us";
  if (fault.bytes_per_s > 0) text << ", " << direction << ' ' << fault.bytes_per_s << " bytes/s";
  if (fault.flip_every_bytes > 0) {
    text << ", " << direction << " a flip in " << fault.flip_every_bytes << " bytes";
  }
  if (fault.reset_after_bytes > 0) {
    text << ", " << direction << " reset after " << fault.reset_after_bytes << " bytes";
  }
}

}  // namespace

std::string TcpProxyPlan::describe() const {
  std::ostringstream text;
  text << "TCP plan: seed " << seed;
  describe_fault(text, "to client", to_client);
  describe_fault(text, "to server", to_server);
  if (blackhole) text << ", black hole";
  if (cut) text << ", cut";
  return text.str();
}

/// The thread and all it owns. Others reach it by calls that it runs between two rounds.
class TcpProxy::Loop {
 public:
  explicit Loop(uint16_t server_port) : server_port_(server_port) {}
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Result<void> start(const TcpProxyPlan& plan);
  /// Runs it on the loop's thread and waits for its end.
  void call(std::function<void()> function);
  uint16_t port() const { return port_; }

  // On the loop's thread only:
  void set_plan(const TcpProxyPlan& plan);
  const TcpProxyPlan& plan() const { return plan_; }
  void set_server_port(uint16_t port) { server_port_ = port; }
  uint16_t server_port() const { return server_port_; }
  void reset_all();
  TcpProxyCounts counts() const;

 private:
  struct Connection {
    Connection(Fd client_socket, Fd server_socket)
        : client(std::move(client_socket)),
          server(std::move(server_socket)),
          to_client(server.get(), client.get()),
          to_server(client.get(), server.get()) {}
    Fd client;
    Fd server;
    TcpFlow to_client;
    TcpFlow to_server;
  };
  using Connections = std::map<uint64_t, std::unique_ptr<Connection>>;

  void run();
  bool run_calls();
  void accept_all();
  Result<std::unique_ptr<Connection>> connect(Fd client) const;
  void apply_plan(Connection& connection);
  /// Moves its bytes; false if it was closed.
  bool pump(Connections::iterator at);
  void close(Connections::iterator at, bool abruptly);
  std::optional<Clock::time_point> next_wake() const;
  void watch(int fd, uint64_t tag, uint32_t events) const;

  Fd reserved_;  // bound and never listening
  Fd listener_;
  Fd epoll_;
  Fd wake_;
  uint16_t port_ = 0;
  uint16_t server_port_;
  TcpProxyPlan plan_;
  Connections connections_;
  TcpProxyCounts counts_;  // of closed connections, as far as flows count
  uint64_t next_number_ = kFirstConnection;
  uint64_t connections_of_plan_ = 0;

  Mutex mutex_;
  std::condition_variable called_;
  std::vector<std::function<void()>> calls_ GUARDED_BY(mutex_);
  uint64_t asked_ GUARDED_BY(mutex_) = 0;
  uint64_t done_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

Result<void> TcpProxy::Loop::start(const TcpProxyPlan& plan) {
  ASSIGN_OR_RETURN(reserved_, bind_loopback(0));
  sockaddr_in address{};
  socklen_t length = sizeof address;
  // SAFETY: as above.
  if (::getsockname(reserved_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return fail_errno("cannot tell the TCP proxy's port", errno);
  }
  port_ = ntohs(address.sin_port);
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno("cannot make an epoll", errno);
  ASSIGN_OR_RETURN(wake_, event_fd());
  watch(wake_.get(), kWakeTag, EPOLLIN);
  set_plan(plan);
  thread_ = std::thread([this] { run(); });
  return {};
}

TcpProxy::Loop::~Loop() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  notify(wake_.get());
  thread_.join();
  reset_all();
}

void TcpProxy::Loop::call(std::function<void()> function) {
  MutexLock lock(mutex_);
  calls_.push_back(std::move(function));
  const uint64_t mine = ++asked_;
  notify(wake_.get());
  while (done_ < mine) lock.wait(called_);
}

bool TcpProxy::Loop::run_calls() {
  std::vector<std::function<void()>> calls;
  {
    const MutexLock lock(mutex_);
    if (stopping_) return false;
    calls.swap(calls_);
  }
  for (const auto& function : calls) function();
  if (!calls.empty()) {
    const MutexLock lock(mutex_);
    done_ += calls.size();
    called_.notify_all();
  }
  return true;
}

void TcpProxy::Loop::watch(int fd, uint64_t tag, uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

void TcpProxy::Loop::apply_plan(Connection& connection) {
  const uint64_t number = connections_of_plan_++;
  connection.to_client.set_fault(plan_.to_client, plan_.seed * kSeedStep + 2 * number);
  connection.to_server.set_fault(plan_.to_server, plan_.seed * kSeedStep + 2 * number + 1);
}

void TcpProxy::Loop::set_plan(const TcpProxyPlan& plan) {
  plan_ = plan;
  if (plan_.cut) {
    listener_.reset();
    counts_.resets += connections_.size();
    reset_all();
    return;
  }
  // The n-th connection of a plan meets the same flips each time.
  connections_of_plan_ = 0;
  for (auto& [number, connection] : connections_) apply_plan(*connection);
  if (!listener_) {
    Result<Fd> listener = bind_loopback(port_);
    CHECK(listener && ::listen(listener->get(), kBacklog) == 0);
    listener_ = std::move(*listener);
    watch(listener_.get(), kListenTag, EPOLLIN);
  }
}

void TcpProxy::Loop::accept_all() {
  while (true) {
    Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    ++counts_.connections;
    if (connections_.size() >= kConnectionsMax) {
      ++counts_.refused_full;
      reset(client);
      continue;
    }
    Result<std::unique_ptr<Connection>> connection = connect(std::move(client));
    if (!connection) continue;
    const uint64_t number = next_number_++;
    apply_plan(**connection);
    watch((*connection)->client.get(), number, EPOLLIN | EPOLLOUT | EPOLLET);
    watch((*connection)->server.get(), number, EPOLLIN | EPOLLOUT | EPOLLET);
    connections_.emplace(number, std::move(*connection));
    counts_.open_max = std::max<uint64_t>(counts_.open_max, connections_.size());
  }
}

Result<std::unique_ptr<TcpProxy::Loop::Connection>> TcpProxy::Loop::connect(Fd client) const {
  Result<Fd> server = make_socket();
  const sockaddr_in address = loopback(server_port_);
  // SAFETY: as above.
  if (!server ||
      (::connect(server->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
       errno != EINPROGRESS)) {
    reset(client);
    return fail(ErrorCode::kUnavailable, "the server does not take connections");
  }
  const int yes = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(server->get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return std::make_unique<Connection>(std::move(client), std::move(*server));
}

void TcpProxy::Loop::close(Connections::iterator at, bool abruptly) {
  Connection& connection = *at->second;
  counts_.bytes_to_client += connection.to_client.bytes();
  counts_.bytes_to_server += connection.to_server.bytes();
  counts_.flips += connection.to_client.flips() + connection.to_server.flips();
  if (abruptly) {
    reset(connection.client);
    reset(connection.server);
  }
  connections_.erase(at);
}

void TcpProxy::Loop::reset_all() {
  while (!connections_.empty()) close(connections_.begin(), true);
}

bool TcpProxy::Loop::pump(Connections::iterator at) {
  using State = TcpFlow::State;
  Connection& connection = *at->second;
  const State to_client = connection.to_client.pump();
  const State to_server = connection.to_server.pump();
  const bool planned = to_client == State::kReset || to_server == State::kReset;
  const bool broken = to_client == State::kBroken || to_server == State::kBroken;
  if (planned) ++counts_.resets;
  if (planned || broken) {
    close(at, true);
    return false;
  }
  if (to_client == State::kEnded && to_server == State::kEnded) {
    close(at, false);
    return false;
  }
  return true;
}

std::optional<Clock::time_point> TcpProxy::Loop::next_wake() const {
  std::optional<Clock::time_point> next;
  if (plan_.blackhole) return next;
  for (const auto& [number, connection] : connections_) {
    for (const TcpFlow* flow : {&connection->to_client, &connection->to_server}) {
      const auto at = flow->wake_at();
      if (at && (!next || *at < *next)) next = at;
    }
  }
  return next;
}

void TcpProxy::Loop::run() {
  std::array<epoll_event, kEventsMax> events;
  while (run_calls()) {
    // All of them, ready or not: a handful of connections, and time makes them ready as well.
    if (!plan_.blackhole) {
      for (auto at = connections_.begin(); at != connections_.end();) pump(at++);
    }
    timespec wait{};
    const auto next = next_wake();
    if (next) {
      const auto left =
          std::max<int64_t>(std::chrono::nanoseconds(*next - Clock::now()).count(), 0);
      wait.tv_sec = left / 1'000'000'000;
      wait.tv_nsec = left % 1'000'000'000;
    }
    const int count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     next ? &wait : nullptr, nullptr);
    for (int i = 0; i < count; ++i) {
      const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
      if (tag == kWakeTag) drain(wake_.get());
      if (tag == kListenTag) accept_all();
    }
  }
}

TcpProxyCounts TcpProxy::Loop::counts() const {
  TcpProxyCounts counts = counts_;
  counts.open = connections_.size();
  for (const auto& [number, connection] : connections_) {
    counts.bytes_to_client += connection->to_client.bytes();
    counts.bytes_to_server += connection->to_server.bytes();
    counts.flips += connection->to_client.flips() + connection->to_server.flips();
  }
  return counts;
}

Result<std::unique_ptr<TcpProxy>> TcpProxy::start(uint16_t server_port, TcpProxyPlan plan) {
  auto loop = std::make_unique<Loop>(server_port);
  TRY(loop->start(plan));
  return std::unique_ptr<TcpProxy>(new TcpProxy(std::move(loop)));
}

TcpProxy::TcpProxy(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
TcpProxy::~TcpProxy() = default;

uint16_t TcpProxy::port() const { return loop_->port(); }

std::string TcpProxy::describe() const {
  std::string text;
  loop_->call([&] {
    text = "TCP proxy " + std::to_string(loop_->port()) + " before " +
           std::to_string(loop_->server_port()) + ", " + loop_->plan().describe();
  });
  return text;
}

void TcpProxy::set_plan(const TcpProxyPlan& plan) {
  loop_->call([&] { loop_->set_plan(plan); });
}

void TcpProxy::set_server_port(uint16_t port) {
  loop_->call([&] { loop_->set_server_port(port); });
}

void TcpProxy::reset_connections() {
  loop_->call([&] { loop_->reset_all(); });
}

TcpProxyCounts TcpProxy::counts() const {
  TcpProxyCounts counts;
  loop_->call([&] { counts = loop_->counts(); });
  return counts;
}

}  // namespace thaw
