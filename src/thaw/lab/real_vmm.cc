// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/real_vmm.h"

#include <poll.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace thaw {
namespace {

using nlohmann::json;

constexpr int kLookMs = 100;  // how late a cancellation is noticed

const char* word_of(RealWay way) {
  switch (way) {
    case RealWay::kFile:
      return "file";
    case RealWay::kPresent:
      return "present";
    case RealWay::kUffd:
      return "uffd";
  }
  return "";
}

std::vector<std::string> task_of(RealTask task) {
  switch (task) {
    case RealTask::kCallRecorded:
      return {"--call", "recorded"};
    case RealTask::kCallMeasured:
      return {"--call", "measured"};
    case RealTask::kCallOther:
      return {"--call", "other"};
    case RealTask::kVerify:
      return {"--verify"};
  }
  return {};
}

Result<void> validate(const RealVmmOptions& options) {
  const bool uffd = options.way == RealWay::kUffd;
  const char* wrong = nullptr;
  const bool qemu = options.driver.vmm == GuestVmm::kQemu;
  if (options.driver.path.empty()) wrong = "no driver";
  if (options.guest.empty()) wrong = "no guest";
  if (uffd != !options.socket.empty()) wrong = "a page server's socket goes with kUffd alone";
  if (uffd && !options.memory.empty()) wrong = "kUffd reads no file";
  if (qemu && options.way != RealWay::kFile && options.preload.empty()) {
    wrong = "no preload library";
  }
  if (!qemu && options.way == RealWay::kPresent) wrong = "only QEMU can have all memory present";
  if (wrong == nullptr) return {};
  return fail(ErrorCode::kInvalid,
              "cannot resume in " + title_of(options.driver.vmm) + ": " + wrong);
}

std::vector<std::string> arguments_of(const RealVmmOptions& options) {
  std::vector<std::string> arguments{
      "measure", "--follow-input",     "--guest",     options.guest,
      "--way",   word_of(options.way), "--timeout-s", std::to_string(options.timeout.count())};
  for (std::string& word : task_of(options.task)) arguments.push_back(std::move(word));
  const std::string nothing;
  const std::array<std::pair<const char*, const std::string*>, 4> given{{
      {"--memory", &options.memory},
      {"--uffd-socket", &options.socket},
      {"--preload", options.driver.vmm == GuestVmm::kQemu ? &options.preload : &nothing},
      {"--vm", &options.vm},
  }};
  for (const auto& [option, value] : given) {
    if (!value->empty()) arguments.insert(arguments.end(), {option, *value});
  }
  return arguments;
}

Result<RealReport> decode(const json& result, RealTask task) {
  RealReport report;
  ASSIGN_OR_RETURN(report.accelerator, text_of_result(result, "accelerator"));
  ASSIGN_OR_RETURN(report.pid, count_of_result(result, "pid"));
  if (task == RealTask::kVerify) {
    ASSIGN_OR_RETURN(report.pages_compared, count_of_result(result, "pages_compared"));
    ASSIGN_OR_RETURN(report.data_pages, count_of_result(result, "data_pages"));
    return report;
  }
  ASSIGN_OR_RETURN(report.started_ns, count_of_result(result, "started_ns"));
  ASSIGN_OR_RETURN(report.ready_ns, count_of_result(result, "ready_ns"));
  ASSIGN_OR_RETURN(report.loading_ns, count_of_result(result, "loading_ns"));
  ASSIGN_OR_RETURN(report.loaded_ns, count_of_result(result, "loaded_ns"));
  ASSIGN_OR_RETURN(report.running_ns, count_of_result(result, "running_ns"));
  ASSIGN_OR_RETURN(report.asked_ns, count_of_result(result, "asked_ns"));
  ASSIGN_OR_RETURN(report.replied_ns, count_of_result(result, "replied_ns"));
  ASSIGN_OR_RETURN(report.minor_faults, count_of_result(result, "minor_faults"));
  ASSIGN_OR_RETURN(report.major_faults, count_of_result(result, "major_faults"));
  ASSIGN_OR_RETURN(report.cpu_ms, number_of_result(result, "cpu_ms"));
  ASSIGN_OR_RETURN(report.total_cpu_ms, number_of_result(result, "total_cpu_ms"));
  ASSIGN_OR_RETURN(report.rss_bytes, count_of_result(result, "rss_bytes"));
  ASSIGN_OR_RETURN(report.pss_bytes, count_of_result(result, "pss_bytes"));
  ASSIGN_OR_RETURN(report.private_bytes, count_of_result(result, "private_bytes"));
  return report;
}

tl::unexpected<Error> ended_early(const RealVmmOptions& options) {
  const std::string name = options.driver.name();
  return fail(ErrorCode::kInvalid, name + " measure ended without a result; use the " + name +
                                       " that came with this thaw");
}

}  // namespace

Result<std::unique_ptr<RealVmm>> RealVmm::start(const RealVmmOptions& options) {
  TRY(validate(options));
  ASSIGN_OR_RETURN(auto driver, GuestDriver::start(options.driver, arguments_of(options),
                                                   GuestDriver::Lifeline::kInput));
  json result;
  ASSIGN_OR_RETURN(const bool more, driver->next(result, options.cancel));
  if (!more || result.value("held", json()) != true) return ended_early(options);
  return std::unique_ptr<RealVmm>(new RealVmm(options, std::move(driver)));
}

Result<void> RealVmm::proceed() { return driver_->proceed(); }

Result<void> RealVmm::wait_readable(int fd) {
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  while (std::chrono::steady_clock::now() < deadline) {
    std::array<pollfd, 2> entries{pollfd{fd, POLLIN, 0}, pollfd{driver_->output(), POLLIN, 0}};
    const int ready = ::poll(entries.data(), entries.size(), kLookMs);
    if (ready > 0 && entries[0].revents != 0) return {};
    const bool cancelled = options_.cancel != nullptr && *options_.cancel;
    if (ready <= 0 && !cancelled) continue;
    TRY(wait());
    break;
  }
  return fail(ErrorCode::kGone, title_of(options_.driver.vmm) + " sent no handshake");
}

Result<RealReport> RealVmm::wait() {
  json result;
  ASSIGN_OR_RETURN(const bool more, driver_->next(result, options_.cancel));
  if (!more) return ended_early(options_);
  ASSIGN_OR_RETURN(RealReport report, decode(result, options_.task));
  ASSIGN_OR_RETURN(const bool again, driver_->next(result, options_.cancel));
  if (again) return ended_early(options_);
  return report;
}

}  // namespace thaw
