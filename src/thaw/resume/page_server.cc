// SPDX-License-Identifier: Apache-2.0
#include "thaw/resume/page_server.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/base/log.h"
#include "thaw/sys/process.h"
#include "thaw/sys/unix_socket.h"

namespace thaw {

using Clock = std::chrono::steady_clock;

// A connection whose handshake is not complete.
struct PageServer::Client {
  Fd socket;
  Peer process;
  HandshakeReceiver receiver;
  Clock::time_point deadline;
  bool done = false;
};

Result<void> PageServerOptions::validate() const {
  TRY(session.validate());
  if (handshake_timeout_ms == 0 || clients_max == 0) {
    return fail(ErrorCode::kInvalid, "handshake_timeout_ms and clients_max must be at least 1");
  }
  if (session.recorder != nullptr && sessions_max != 1) {
    return fail(ErrorCode::kInvalid, "a recording is of one session: sessions_max must be 1");
  }
  return {};
}

Result<std::unique_ptr<PageServer>> PageServer::create(std::string socket_path,
                                                       std::shared_ptr<const ResumeImage> image,
                                                       ChunkSource& source, WorkerPool& workers,
                                                       const PageServerOptions& options,
                                                       Observer observer) {
  TRY(options.validate());
  // Made before the first VMM comes, for whom it would be time lost.
  image->scratch().prepare(std::max(1u, std::thread::hardware_concurrency()) + 1);
  TRY(image->plan(options.session.strategy.value_or(default_strategy(*image))));
  ASSIGN_OR_RETURN(Fd wake, event_fd());
  ASSIGN_OR_RETURN(Fd listener, listen_unix(socket_path));
  return std::unique_ptr<PageServer>(new PageServer(std::move(socket_path), std::move(listener),
                                                    std::move(wake), std::move(image), source,
                                                    workers, options, std::move(observer)));
}

PageServer::PageServer(std::string socket_path, Fd listener, Fd wake,
                       std::shared_ptr<const ResumeImage> image, ChunkSource& source,
                       WorkerPool& workers, const PageServerOptions& options, Observer observer)
    : socket_path_(std::move(socket_path)),
      listener_(std::move(listener)),
      wake_(std::move(wake)),
      image_(std::move(image)),
      source_(source),
      workers_(workers),
      options_(options),
      observer_(std::move(observer)) {}

PageServer::~PageServer() { ::unlink(socket_path_.c_str()); }

void PageServer::stop() {
  stopping_.store(true, std::memory_order_release);
  notify(wake_.get());
}

bool PageServer::accepting() const {
  return options_.sessions_max == 0 || sessions_begun_ < options_.sessions_max;
}

Result<void> PageServer::run() {
  while (!stopping_.load(std::memory_order_acquire) && (accepting() || !sessions_.empty())) {
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0},
                                {accepting() ? listener_.get() : -1, POLLIN, 0}};
    for (const Client& client : clients_) entries.push_back({client.socket.get(), POLLIN, 0});
    if (::poll(entries.data(), entries.size(), poll_timeout_ms()) < 0 && errno != EINTR) {
      return fail_errno("cannot wait for clients", errno);
    }
    drain(wake_.get());
    size_t at = 2;
    for (Client& client : clients_) {
      if (entries[at++].revents != 0) serve_client(client);
      if (!client.done && Clock::now() >= client.deadline) {
        refuse(client, Error{ErrorCode::kInvalid,
                             "handshake refused: it was not complete after " +
                                 std::to_string(options_.handshake_timeout_ms) + " ms"});
      }
    }
    if (accepting() && entries[1].revents != 0) accept_clients();
    // After both: who is done must not be met, refused and counted again.
    clients_.remove_if([](const Client& client) { return client.done; });
    reap_sessions();
  }
  clients_.clear();
  for (const std::unique_ptr<Session>& session : sessions_) session->stop();
  if (observer_.stopping) observer_.stopping();
  // Each session's thread ends by itself now; its destructor waits for it.
  while (!sessions_.empty()) {
    reap_sessions();
    if (!sessions_.empty()) {
      pollfd entry{wake_.get(), POLLIN, 0};
      ::poll(&entry, 1, -1);
      drain(wake_.get());
    }
  }
  return outcome_;
}

int PageServer::poll_timeout_ms() const {
  if (clients_.empty()) return -1;
  const auto soonest =
      std::min_element(clients_.begin(), clients_.end(),
                       [](const Client& a, const Client& b) { return a.deadline < b.deadline; });
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(soonest->deadline - Clock::now()).count();
  return static_cast<int>(std::max<int64_t>(left, 0));
}

void PageServer::accept_clients() {
  while (accepting()) {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;  // none waits, or this one left again
    if (clients_.size() >= options_.clients_max) {
      log_warning("a client was refused: " + std::to_string(options_.clients_max) +
                  " handshakes are under way (clients_max)");
      continue;
    }
    Result<Peer> process = peer_of(socket.get());
    if (!process) continue;  // it left again
    Client& client = clients_.emplace_back();
    client.socket = std::move(socket);
    client.process = std::move(*process);
    client.deadline = Clock::now() + std::chrono::milliseconds(options_.handshake_timeout_ms);
    serve_client(client);
  }
}

void PageServer::serve_client(Client& client) {
  const Result<HandshakeReceiver::State> state = client.receiver.receive(client.socket.get());
  if (!state) {
    refuse(client, state.error());
  } else if (*state == HandshakeReceiver::State::kComplete) {
    start_session(client);
  }
}

void PageServer::refuse(Client& client, const Error& error) {
  client.done = true;
  const std::string who = "client " + std::to_string(client.process.pid);
  if (!client.receiver.has_uffd()) {
    log_warning(who + ": " + error.message);
    return;
  }
  // Its memory waits for pages that nobody will bring: it would hang, or worse, read zeros.
  ++sessions_begun_;
  if (outcome_) outcome_ = fail(error);
  const bool ended =
      client.process.pidfd && kill_by_pidfd(client.process.pidfd.get(), SIGKILL).has_value();
  log_error(who + (ended ? " was ended: " : " could not be ended, end it by hand: ") +
            error.message);
}

void PageServer::start_session(Client& client) {
  if (!accepting()) {
    refuse(client,
           Error{ErrorCode::kExhausted, "handshake refused: the page server has served its " +
                                            std::to_string(options_.sessions_max) + " sessions"});
    return;
  }
  if (client.process.pid == ::getpid()) {
    refuse(client, Error{ErrorCode::kInvalid,
                         "handshake refused: it comes from the page server's own process"});
    return;
  }
  if (overloaded()) {
    refuse(client, Error{ErrorCode::kOverloaded,
                         "handshake refused: " + std::to_string(options_.restores_max) +
                             " restores are in flight here (restores_max); resume this VM on "
                             "another worker, or later"});
    return;
  }
  Result<Handshake> handshake = client.receiver.finish(image_->memory().bytes);
  if (!handshake) {
    refuse(client, handshake.error());
    return;
  }
  client.done = true;
  Result<std::unique_ptr<Session>> session =
      Session::start(image_, source_, workers_, std::move(*handshake),
                     VmmPeer{std::move(client.process), std::move(client.socket)}, options_.session,
                     [this] { notify(wake_.get()); });
  ++sessions_begun_;
  if (!session) {
    log_error("a session could not be started: " + session.error().message);
    if (outcome_) outcome_ = fail(session.error());
    return;
  }
  sessions_.push_back(std::move(*session));
  if (observer_.session_started) observer_.session_started(sessions_.back()->summary());
}

bool PageServer::overloaded() const {
  if (options_.restores_max == 0) return false;
  const std::chrono::milliseconds settle(options_.restore_settle_ms);
  const auto restoring = std::count_if(
      sessions_.begin(), sessions_.end(),
      [&](const std::unique_ptr<Session>& one) { return !one->ended() && one->restoring(settle); });
  return static_cast<uint64_t>(restoring) >= options_.restores_max;
}

void PageServer::reap_sessions() {
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    if (!(*at)->ended()) {
      ++at;
      continue;
    }
    const SessionSummary summary = (*at)->summary();
    if (summary.end == SessionEnd::kFailed && outcome_) {
      outcome_ = fail(summary.error_code, summary.error);
    }
    if (observer_.session_ended) observer_.session_ended(summary);
    at = sessions_.erase(at);
  }
}

}  // namespace thaw
