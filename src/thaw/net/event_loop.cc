// SPDX-License-Identifier: Apache-2.0
#include "thaw/net/event_loop.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>

#include "thaw/base/check.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

constexpr size_t kEventsPerTurn = 64;
/// The wake descriptor's watch; those of others count from 1.
constexpr uint64_t kWakeId = 0;
/// With nothing to wait for the loop wakes this often all the same.
constexpr std::chrono::seconds kIdleWait(60);

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::start() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("cannot make an epoll instance", errno);
  ASSIGN_OR_RETURN(Fd wake, event_fd());
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return fail_errno("cannot watch the loop's eventfd", errno);
  }
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(epoll), std::move(wake)));
  const SignalsBlocked blocked;
  loop->thread_ = std::thread([raw = loop.get()] { raw->run(); });
  loop->thread_id_.store(loop->thread_.get_id());
  return loop;
}

EventLoop::~EventLoop() {
  CHECK(!in_loop());
  posted_.with([](Posted& posted) { posted.stopping = true; });
  notify(wake_.get());
  thread_.join();
}

void EventLoop::post(Task task) {
  const bool first = posted_.with([&](Posted& posted) {
    posted.tasks.push_back(std::move(task));
    return posted.tasks.size() == 1;
  });
  // The loop looks at the queue before each wait, so its own posts need no wake.
  if (first && !in_loop()) notify(wake_.get());
}

void EventLoop::run_and_wait(const Task& task) {
  CHECK(!in_loop());
  Mutex mutex;
  std::condition_variable changed;
  bool ran = false;
  post([&] {
    task();
    // Notified under the lock: once it is released the waiter's frame may go.
    const MutexLock lock(mutex);
    ran = true;
    changed.notify_one();
  });
  MutexLock lock(mutex);
  while (!ran) lock.wait(changed);
}

Result<EventLoop::WatchId> EventLoop::watch(int fd, uint32_t events, FdHandler& handler) {
  DCHECK(in_loop());
  const WatchId id = ++watches_made_;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno("cannot watch a descriptor", errno);
  }
  watches_.emplace(id, Watch{fd, &handler});
  return id;
}

Result<void> EventLoop::change(WatchId id, uint32_t events) {
  DCHECK(in_loop());
  const auto found = watches_.find(id);
  CHECK(found != watches_.end());
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, found->second.fd, &event) != 0) {
    return fail_errno("cannot change what a descriptor is watched for", errno);
  }
  return {};
}

void EventLoop::unwatch(WatchId id) {
  DCHECK(in_loop());
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
  watches_.erase(found);
}

EventLoop::TimerId EventLoop::call_at(Time time, Task task) {
  DCHECK(in_loop());
  const TimerId id{time, ++timers_made_};
  timers_.emplace(id, std::move(task));
  return id;
}

void EventLoop::cancel(TimerId timer) {
  DCHECK(in_loop());
  if (timer) timers_.erase(timer);
}

void EventLoop::run() {
  // start() stores the same value; whichever comes first, tasks of this thread see it.
  thread_id_.store(std::this_thread::get_id());
  while (run_posted()) {
    run_due_timers();
    wait_for_events();
  }
}

bool EventLoop::run_posted() {
  while (true) {
    bool stopping = false;
    std::vector<Task> tasks;
    posted_.with([&](Posted& posted) {
      tasks.swap(posted.tasks);
      stopping = posted.stopping;
    });
    if (tasks.empty()) return !stopping;
    for (Task& task : tasks) {
      task();
      task = nullptr;  // what it holds goes before the next one runs
    }
    // Tasks that keep posting must not starve the descriptors.
    if (!stopping) return true;
  }
}

void EventLoop::run_due_timers() {
  if (timers_.empty()) return;
  const Time now = std::chrono::steady_clock::now();
  // Those that a timer adds for the past wait for the next turn.
  const TimerId last{now, timers_made_};
  while (!timers_.empty() && timers_.begin()->first.time <= now &&
         timers_.begin()->first.number <= last.number) {
    const Task task = std::move(timers_.extract(timers_.begin()).mapped());
    task();
  }
}

void EventLoop::wait_for_events() {
  std::chrono::nanoseconds time = kIdleWait;
  if (!timers_.empty()) {
    time = std::clamp<std::chrono::nanoseconds>(
        timers_.begin()->first.time - std::chrono::steady_clock::now(), std::chrono::nanoseconds(0),
        time);
  }
  if (posted_.with([](const Posted& posted) { return !posted.tasks.empty() || posted.stopping; })) {
    time = std::chrono::nanoseconds(0);
  }
  std::array<epoll_event, kEventsPerTurn> events{};
  const int count = wait_at_most(events.data(), time);
  if (count < 0) {
    CHECK(errno == EINTR);
    return;
  }
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const uint64_t id = events[i].data.u64;
    if (id == kWakeId) {
      drain(wake_.get());
      continue;
    }
    // A handler before this one may have ended the watch; ids are never used again.
    const auto found = watches_.find(id);
    if (found != watches_.end()) found->second.handler->on_events(events[i].events);
  }
}

int EventLoop::wait_at_most(epoll_event* events, std::chrono::nanoseconds time) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  if (fine_waits_) {
    const timespec limit{time.count() / kNanosPerSecond, time.count() % kNanosPerSecond};
    const int count = ::epoll_pwait2(epoll_.get(), events, kEventsPerTurn, &limit, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    fine_waits_ = false;  // before Linux 5.11
  }
  const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(time);
  return ::epoll_wait(epoll_.get(), events, kEventsPerTurn, static_cast<int>(rounded_up.count()));
}

}  // namespace thaw
