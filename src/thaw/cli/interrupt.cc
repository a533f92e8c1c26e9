// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/interrupt.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>
#include <vector>

#include "thaw/sys/process.h"

namespace thaw {

Result<std::unique_ptr<Interrupt>> Interrupt::watch(std::function<void(int)> on_signal,
                                                    Others others) {
  ASSIGN_OR_RETURN(Fd stop, event_fd());
  std::vector<int> wanted{SIGINT, SIGTERM};
  for (const auto& [signal, action] : others) wanted.push_back(signal);
  ASSIGN_OR_RETURN(Fd signals, signal_fd(wanted));
  return std::unique_ptr<Interrupt>(
      new Interrupt(std::move(signals), std::move(stop), std::move(on_signal), std::move(others)));
}

Interrupt::Interrupt(Fd signals, Fd stop, std::function<void(int)> on_signal, Others others)
    : signals_(std::move(signals)),
      stop_(std::move(stop)),
      on_signal_(std::move(on_signal)),
      others_(std::move(others)) {
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
    const auto other = others_.find(static_cast<int>(info.ssi_signo));
    if (other != others_.end()) {
      other->second();
    } else {
      on_signal_(++count);
    }
  }
}

}  // namespace thaw
