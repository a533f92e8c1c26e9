// SPDX-License-Identifier: Apache-2.0
//
// PageServer: listens on a Unix socket, takes handshakes, and runs a Session for each VMM. Many at
// once in one process.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/base/worker_pool.h"
#include "thaw/resume/session.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

struct PageServerOptions {
  SessionOptions session;
  uint32_t handshake_timeout_ms = 10'000;  // from connect to the last byte of the handshake
  uint32_t clients_max = 256;              // handshakes under way; more are closed at once
  // Ends after this many sessions; 0: serves until stopped. A VMM whose handshake is refused
  // counts.
  uint32_t sessions_max = 1;
  // Sessions that load at once; a VMM above that is refused at once (kOverloaded) and ended, so
  // that those under way finish instead of all getting slower together, as when every cache is
  // empty. A session loads until it has had no fetch under way for restore_settle_ms. 0: no limit.
  uint32_t restores_max = 0;
  uint32_t restore_settle_ms = 1'000;

  Result<void> validate() const;
};

/// One thread calls run(); stop() may be called from any.
class PageServer {
 public:
  /// Called on the serving thread as a session begins and after it has ended.
  struct Observer {
    std::function<void(const SessionSummary&)> session_started;
    std::function<void(const SessionSummary&)> session_ended;
    /// Called once, when every session has been told to end: what they still wait for may be
    /// interrupted.
    std::function<void()> stopping;
  };

  /// Binds the socket. Borrows source and workers. The socket's file is removed by the destructor.
  /// kInvalid also if the strategy needs what the image does not have (plan_prefetch()).
  static Result<std::unique_ptr<PageServer>> create(std::string socket_path,
                                                    std::shared_ptr<const ResumeImage> image,
                                                    ChunkSource& source, WorkerPool& workers,
                                                    const PageServerOptions& options,
                                                    Observer observer);
  ~PageServer();

  /// Serves until sessions_max sessions have ended or stop() is called; then all sessions have
  /// ended. The error is the first of a session that failed or a handshake that was refused after a
  /// userfaultfd had come, because its VMM cannot run any more; others go to the log.
  Result<void> run();
  void stop();

 private:
  struct Client;

  PageServer(std::string socket_path, Fd listener, Fd wake,
             std::shared_ptr<const ResumeImage> image, ChunkSource& source, WorkerPool& workers,
             const PageServerOptions& options, Observer observer);

  void accept_clients();
  void serve_client(Client& client);
  void refuse(Client& client, const Error& error);
  void start_session(Client& client);
  void reap_sessions();
  bool overloaded() const;
  int poll_timeout_ms() const;
  bool accepting() const;

  const std::string socket_path_;
  const Fd listener_;
  const Fd wake_;
  const std::shared_ptr<const ResumeImage> image_;
  ChunkSource& source_;
  WorkerPool& workers_;
  const PageServerOptions options_;
  const Observer observer_;

  std::list<Client> clients_;
  std::list<std::unique_ptr<Session>> sessions_;
  uint32_t sessions_begun_ = 0;
  std::atomic<bool> stopping_{false};
  Result<void> outcome_;
};

}  // namespace thaw
