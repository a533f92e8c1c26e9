// SPDX-License-Identifier: Apache-2.0
#include "thaw/net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>

#include "thaw/net/socket_address.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(EventLoop, RunsTasksInOrderOnItsOwnThread) {
  auto loop = std::move(*EventLoop::start());
  std::vector<int> order;
  bool inside = false;
  for (int i = 0; i < 100; ++i) {
    loop->post([&order, i] { order.push_back(i); });
  }
  loop->run_and_wait([&] { inside = loop->in_loop(); });
  EXPECT_TRUE(inside);
  EXPECT_FALSE(loop->in_loop());
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(EventLoop, TasksPostedByManyThreadsAllRun) {
  std::atomic<int> ran{0};
  constexpr int kThreads = 4;
  constexpr int kEach = 5000;
  {
    auto loop = std::move(*EventLoop::start());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) loop->post([&] { ++ran; });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(ran, kThreads * kEach);
}

TEST(EventLoop, TheEndRunsWhatWasPostedAndWhatThatPosts) {
  std::atomic<int> ran{0};
  {
    auto loop = std::move(*EventLoop::start());
    loop->post([&, raw = loop.get()] {
      std::this_thread::sleep_for(milliseconds(5));
      raw->post([&, raw] {
        ++ran;
        raw->post([&] { ++ran; });
      });
      raw->call_at(steady_clock::now() + std::chrono::hours(1), [&] { ADD_FAILURE(); });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(EventLoop, TimersRunInTheOrderOfTheirTimesAndCanBeCancelled) {
  auto loop = std::move(*EventLoop::start());
  std::vector<int> order;
  std::atomic<bool> done{false};
  const auto begin = steady_clock::now();
  loop->run_and_wait([&] {
    loop->call_at(begin + milliseconds(15), [&] {
      order.push_back(3);
      done = true;
    });
    loop->call_at(begin + milliseconds(5), [&] { order.push_back(1); });
    loop->call_at(begin + milliseconds(5), [&] { order.push_back(2); });
    const auto cancelled = loop->call_at(begin + milliseconds(10), [&] { order.push_back(9); });
    loop->cancel(cancelled);
    loop->cancel(cancelled);
    loop->cancel({});
    loop->call_at(begin - milliseconds(10), [&] { order.push_back(0); });
  });
  while (!done) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_GE(steady_clock::now() - begin, milliseconds(15));
  loop->run_and_wait([&] { EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3})); });
}

TEST(EventLoop, ATimerThatMakesTimersForNowDoesNotStarveTheRest) {
  std::atomic<bool> stop{false};
  std::function<void()> again;
  auto loop = std::move(*EventLoop::start());
  again = [&] {
    if (!stop) loop->call_at(steady_clock::now(), [&] { again(); });
  };
  loop->run_and_wait([&] { again(); });
  loop->run_and_wait([&] { stop = true; });
  EXPECT_TRUE(stop);
}

class Counting final : public FdHandler {
 public:
  explicit Counting(std::function<void()> on_event) : on_event_(std::move(on_event)) {}
  void on_events(uint32_t /*events*/) override { on_event_(); }

 private:
  const std::function<void()> on_event_;
};

TEST(EventLoop, AWatchThatAnotherEndedInTheSameTurnIsNotCalled) {
  auto loop = std::move(*EventLoop::start());
  const Fd one = *event_fd();
  const Fd two = *event_fd();
  EventLoop::WatchId first = 0;
  EventLoop::WatchId second = 0;
  std::atomic<int> calls{0};
  const auto end_both = [&] {
    ++calls;
    loop->unwatch(first);
    loop->unwatch(second);
    loop->unwatch(second);
  };
  Counting handler_one(end_both);
  Counting handler_two(end_both);
  notify(one.get());
  notify(two.get());
  loop->run_and_wait([&] {
    first = *loop->watch(one.get(), EPOLLIN, handler_one);
    second = *loop->watch(two.get(), EPOLLIN, handler_two);
  });
  while (calls == 0) std::this_thread::sleep_for(milliseconds(1));
  loop->run_and_wait([] {});
  EXPECT_EQ(calls, 1);
  loop->run_and_wait([&] { EXPECT_FALSE(loop->watch(-1, EPOLLIN, handler_one)); });
}

TEST(SocketAddress, NumbersNeedNoLookUp) {
  EXPECT_EQ(numeric_address("127.0.0.1", 80)->family(), AF_INET);
  EXPECT_EQ(numeric_address("::1", 80)->family(), AF_INET6);
  for (const char* name : {"localhost", "", "127.0.0", "1.2.3.4.5", "::g"}) {
    EXPECT_FALSE(numeric_address(name, 80)) << name;
  }
  EXPECT_EQ(resolve_host("127.0.0.1", 1)->size(), 1U);
}

TEST(Resolver, AnswersOnceEach) {
  std::atomic<int> answers{0};
  std::atomic<int> found{0};
  {
    Resolver resolver;
    for (const char* name : {"127.0.0.1", "localhost", "no such name", "::1"}) {
      resolver.resolve(name, 80, [&](const Result<std::vector<SocketAddress>>& addresses) {
        ++answers;
        if (addresses) ++found;
      });
    }
  }
  EXPECT_EQ(answers, 4);
  EXPECT_GE(found, 2);  // a machine without /etc/hosts knows no localhost
}

}  // namespace
}  // namespace thaw
