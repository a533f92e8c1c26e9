// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/qemu_vmm.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace thaw {
namespace {

using nlohmann::json;

const char* word_of(QemuWay way) {
  switch (way) {
    case QemuWay::kFile:
      return "file";
    case QemuWay::kPresent:
      return "present";
    case QemuWay::kUffd:
      return "uffd";
  }
  return "";
}

std::vector<std::string> task_of(QemuTask task) {
  switch (task) {
    case QemuTask::kCallRecorded:
      return {"--call", "recorded"};
    case QemuTask::kCallMeasured:
      return {"--call", "measured"};
    case QemuTask::kCallOther:
      return {"--call", "other"};
    case QemuTask::kVerify:
      return {"--verify"};
  }
  return {};
}

Result<void> validate(const QemuVmmOptions& options) {
  const bool uffd = options.way == QemuWay::kUffd;
  const char* wrong = nullptr;
  if (options.driver.empty()) wrong = "no driver";
  if (options.guest.empty()) wrong = "no guest";
  if (uffd != !options.socket.empty()) wrong = "a page server's socket goes with kUffd alone";
  if (uffd && !options.memory.empty()) wrong = "kUffd reads no file";
  if (options.way != QemuWay::kFile && options.preload.empty()) wrong = "no preload library";
  if (wrong == nullptr) return {};
  return fail(ErrorCode::kInvalid, std::string("cannot resume in QEMU: ") + wrong);
}

std::vector<std::string> arguments_of(const QemuVmmOptions& options) {
  std::vector<std::string> arguments{
      "measure", "--follow-input",     "--guest",     options.guest,
      "--way",   word_of(options.way), "--timeout-s", std::to_string(options.timeout.count())};
  for (std::string& word : task_of(options.task)) arguments.push_back(std::move(word));
  const std::array<std::pair<const char*, const std::string*>, 4> given{{
      {"--memory", &options.memory},
      {"--uffd-socket", &options.socket},
      {"--preload", &options.preload},
      {"--vm", &options.vm},
  }};
  for (const auto& [option, value] : given) {
    if (!value->empty()) arguments.insert(arguments.end(), {option, *value});
  }
  return arguments;
}

Result<QemuReport> decode(const json& result, QemuTask task) {
  QemuReport report;
  ASSIGN_OR_RETURN(report.accelerator, text_of_result(result, "accelerator"));
  ASSIGN_OR_RETURN(report.pid, count_of_result(result, "pid"));
  if (task == QemuTask::kVerify) {
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

tl::unexpected<Error> ended_early() {
  return fail(ErrorCode::kInvalid,
              "thaw-qemu measure ended without a result; use the thaw-qemu that came with this "
              "thaw");
}

}  // namespace

Result<std::unique_ptr<QemuVmm>> QemuVmm::start(const QemuVmmOptions& options) {
  TRY(validate(options));
  ASSIGN_OR_RETURN(auto driver, GuestDriver::start(options.driver, arguments_of(options),
                                                   GuestDriver::Lifeline::kInput));
  json result;
  ASSIGN_OR_RETURN(const bool more, driver->next(result, options.cancel));
  if (!more || result.value("held", json()) != true) return ended_early();
  return std::unique_ptr<QemuVmm>(new QemuVmm(options, std::move(driver)));
}

Result<void> QemuVmm::proceed() { return driver_->proceed(); }

Result<QemuReport> QemuVmm::wait() {
  json result;
  ASSIGN_OR_RETURN(const bool more, driver_->next(result, options_.cancel));
  if (!more) return ended_early();
  ASSIGN_OR_RETURN(QemuReport report, decode(result, options_.task));
  ASSIGN_OR_RETURN(const bool again, driver_->next(result, options_.cancel));
  if (again) return ended_early();
  return report;
}

}  // namespace thaw
