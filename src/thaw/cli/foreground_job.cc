// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/foreground_job.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "thaw/base/bytes.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/exit_code.h"

namespace thaw {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(200);

std::string bar_text(const std::string& label, JobUnit unit, uint64_t done, uint64_t total,
                     double seconds) {
  std::string text = label + "  " + format_share(done, total) + "  ";
  if (unit == JobUnit::kBytes) {
    text += human_bytes(done) + " of " + human_bytes(total) + "  " + format_rate(done, seconds);
  } else {
    text += std::to_string(done) + " of " + std::to_string(total);
  }
  if (done > 0 && done <= total) {
    const double left = seconds * static_cast<double>(total - done) / static_cast<double>(done);
    text += "  " + format_seconds(left) + " left";
  }
  return text;
}

}  // namespace

Result<std::unique_ptr<ForegroundJob>> ForegroundJob::start(std::string label, const Output& out,
                                                            JobUnit unit) {
  std::unique_ptr<ForegroundJob> job(new ForegroundJob(printable(label), unit));
  ASSIGN_OR_RETURN(job->interrupt_, Interrupt::watch([raw = job.get()](int signals) {
                     raw->progress_.cancel.store(true);
                     if (signals > 1) ::_exit(static_cast<int>(ExitCode::kInterrupted));
                   }));
  if (out.has_progress_bar()) job->bar_ = std::thread([raw = job.get()] { raw->show_bar(); });
  return job;
}

ForegroundJob::~ForegroundJob() {
  if (!bar_.joinable()) return;
  {
    const MutexLock lock(mutex_);
    done_ = true;
    finished_.notify_all();
  }
  bar_.join();
}

void ForegroundJob::show_bar() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point began = Clock::now();
  uint64_t shown = 0;
  MutexLock lock(mutex_);
  while (!done_) {
    lock.wait_for(finished_, kRedraw);
    const uint64_t done = progress_.bytes_done.load(std::memory_order_relaxed);
    const uint64_t total = progress_.bytes_total.load(std::memory_order_relaxed);
    if (done < shown) began = Clock::now();  // the next snapshot of the same job
    shown = done;
    if (total == 0 || done_) continue;
    const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    std::fprintf(stderr, "\r%s\x1b[K", bar_text(label_, unit_, done, total, seconds).c_str());
  }
  std::fputs("\r\x1b[K", stderr);
}

}  // namespace thaw
