// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/interrupt.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "thaw/sys/process.h"

namespace thaw {

Result<std::unique_ptr<Interrupt>> Interrupt::watch(std::function<void(int)> on_signal,
                                                    std::function<void()> on_hangup) {
  ASSIGN_OR_RETURN(Fd stop, event_fd());
  ASSIGN_OR_RETURN(Fd signals,
                   on_hangup ? signal_fd({SIGINT, SIGTERM, SIGHUP}) : signal_fd({SIGINT, SIGTERM}));
  return std::unique_ptr<Interrupt>(new Interrupt(std::move(signals), std::move(stop),
                                                  std::move(on_signal), std::move(on_hangup)));
}

Interrupt::Interrupt(Fd signals, Fd stop, std::function<void(int)> on_signal,
                     std::function<void()> on_hangup)
    : signals_(std::move(signals)),
      stop_(std::move(stop)),
      on_signal_(std::move(on_signal)),
      on_hangup_(std::move(on_hangup)) {
  thread_ = std::thread([this] { run(); });
}

Interrupt::~Interrupt() {
  notify(stop_.get());
  thread_.join();
}

void Interrupt::run() {
  int count = 0;
  while (true) {
    pollfd entries[] = {{signals_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(entries, 2, -1) < 0) continue;
    if (entries[1].revents != 0) return;
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo == SIGHUP) {
      on_hangup_();
    } else {
      on_signal_(++count);
    }
  }
}

}  // namespace thaw
