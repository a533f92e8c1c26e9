// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/guest_driver.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"
#include "thaw/sys/pipe.h"

namespace thaw {
namespace {

using nlohmann::json;

constexpr char kPreload[] = "libthaw_uffd_preload.so";
constexpr auto kLook = std::chrono::milliseconds(100);  // how late a cancellation is noticed
// The driver waits at most a few seconds for each thing that it takes away.
constexpr auto kUnwindMax = std::chrono::seconds(60);
constexpr uint64_t kSaidBytesMax = 4000;

std::string folder_of_this_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

bool is_file(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), R_OK) == 0;
}

/// What the driver printed on standard error, from its end: where it could not speak JSON.
std::string said_in(int fd) {
  const std::string path = "the driver's standard error";
  const auto size = file_size(fd, path);
  if (!size || *size == 0) return "it said nothing";
  const uint64_t offset = *size - std::min(*size, kSaidBytesMax);
  std::string text(static_cast<size_t>(*size - offset), '\0');
  const auto got = read_some_at(fd, offset, std::as_writable_bytes(std::span(text)), path);
  text.resize(got.value_or(0));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<Fd> make_errors() {
  Fd fd(::memfd_create("thaw driver errors", MFD_CLOEXEC));
  if (!fd) return fail_errno("cannot make a file in memory", errno);
  return fd;
}

tl::unexpected<Error> misses(const char* name) {
  return fail(ErrorCode::kInvalid, std::string("a result of the driver has no proper '") + name +
                                       "'; use the guest driver that came with this thaw");
}

}  // namespace

Result<std::string> find_part(const std::string& what, const std::string& option,
                              const std::optional<std::string>& given,
                              const std::vector<std::string>& places) {
  if (given) {
    if (is_file(*given)) return *given;
    return fail(ErrorCode::kUnsupported, "there is no " + what + " " + *given + "; give " + option +
                                             " another path, or leave it out");
  }
  std::string text;
  for (const std::string& place : places) {
    if (is_file(place)) return place;
    text += (text.empty() ? "" : ", ") + place;
  }
  return fail(ErrorCode::kUnsupported, "there is no " + what + " (looked for: " + text +
                                           "); install it there or name it with " + option);
}

Result<GuestProgram> find_guest_driver(GuestVmm vmm, const std::optional<std::string>& given) {
  GuestProgram program{.vmm = vmm, .path = {}};
  const std::string name = program.name();
  std::vector<std::string> places{folder_of_this_program() + "/" + name,
                                  THAW_VMM_SOURCE "/" + word_of(vmm) + "/" + name};
  std::string in_path = find_program(name);
  places.push_back(in_path.empty() ? name + " in PATH" : std::move(in_path));
  ASSIGN_OR_RETURN(program.path, find_part("guest driver", "--driver", given, places));
  return program;
}

Result<std::string> find_preload_library(const std::optional<std::string>& given) {
  const std::string folder = folder_of_this_program();
  return find_part("preload library", "--preload", given,
                   {folder + "/" + kPreload, folder + "/vmm/qemu/" + kPreload});
}

Result<std::string> text_of_result(const json& result, const char* name) {
  const auto found = result.find(name);
  if (found == result.end() || !found->is_string()) return misses(name);
  return found->get<std::string>();
}

Result<uint64_t> count_of_result(const json& result, const char* name) {
  const auto found = result.find(name);
  if (found == result.end() || !found->is_number_unsigned()) return misses(name);
  return found->get<uint64_t>();
}

Result<double> number_of_result(const json& result, const char* name) {
  const auto found = result.find(name);
  if (found == result.end() || !found->is_number()) return misses(name);
  return found->get<double>();
}

Result<std::unique_ptr<GuestDriver>> GuestDriver::start(const GuestProgram& driver,
                                                        std::vector<std::string> arguments,
                                                        Lifeline lifeline) {
  std::string name = driver.name() + " " + arguments.at(0);
  arguments.insert(arguments.begin(), driver.path);
  arguments.emplace_back("--json");
  ASSIGN_OR_RETURN(Fd errors, make_errors());
  auto child = ChildProcess::start({.argv = std::move(arguments),
                                    .error = errors.get(),
                                    .pipe_input = lifeline == Lifeline::kInput,
                                    .pipe_output = true,
                                    .orphan_signal = lifeline == Lifeline::kThread ? SIGTERM : 0});
  if (!child) {
    return fail(ErrorCode::kUnsupported, "cannot run " + name + ": " + child.error().message +
                                             "; it needs Python 3.11 and leave to be executed");
  }
  return std::unique_ptr<GuestDriver>(
      new GuestDriver(driver, std::move(name), std::move(errors), std::move(*child)));
}

GuestDriver::~GuestDriver() { stop(); }

void GuestDriver::stop() { child_->stop(kUnwindMax); }

Result<void> GuestDriver::proceed() {
  if (write_to_pipe(child_->input(), "\n")) return {};
  return fail(ErrorCode::kGone, name_ + " ended before it was told to go on");
}

Result<bool> GuestDriver::next(json& result, const std::atomic<bool>* cancel) {
  Result<bool> got = read(result, cancel);
  if (!got) stop();
  return got;
}

Result<bool> GuestDriver::read(json& result, const std::atomic<bool>* cancel) {
  while (cancel == nullptr || !cancel->load(std::memory_order_relaxed)) {
    const Result<std::string> line = child_->read_line(kLook);
    if (!line) {
      // The end of its output may come before its own.
      if (line.error().code == ErrorCode::kGone) return end();
      if (line.error().code == ErrorCode::kInvalid) return not_understood("a line without an end");
      if (line.error().code != ErrorCode::kUnavailable) return fail(line.error());
      continue;
    }
    result = json::parse(*line, nullptr, false);
    if (!result.is_object()) return not_understood("'" + line->substr(0, 80) + "'");
    if (!result.contains("error")) return true;
    ASSIGN_OR_RETURN(const std::string what, text_of_result(result, "error"));
    ASSIGN_OR_RETURN(const std::string remedy, text_of_result(result, "remedy"));
    const bool corrupt = result.value("corrupt", json()) == true;
    error_ = Error{corrupt ? ErrorCode::kCorrupt : ErrorCode::kUnavailable,
                   name_ + " failed: " + what + "; to do: " + remedy};
  }
  return fail(ErrorCode::kInterrupted, "interrupted");
}

Result<bool> GuestDriver::end() {
  const std::optional<ChildEnd> end = child_->wait(kUnwindMax);
  if (end && end->exit_code == 0) return false;
  if (error_) return fail(*error_);
  return fail(ErrorCode::kUnavailable,
              name_ + " " + (end ? end->describe() : "has closed its output and does not end") +
                  ": " + said_in(errors_.get()));
}

tl::unexpected<Error> GuestDriver::not_understood(const std::string& what) const {
  return fail(ErrorCode::kInvalid, name_ + " prints " + what + "; use the " + program_.name() +
                                       " that came with this thaw");
}

Result<void> run_guest_driver(const GuestProgram& driver, std::vector<std::string> arguments,
                              Progress& progress, const OnResult& on_result) {
  ASSIGN_OR_RETURN(const auto running, GuestDriver::start(driver, std::move(arguments),
                                                          GuestDriver::Lifeline::kThread));
  while (true) {
    json result;
    ASSIGN_OR_RETURN(const bool more, running->next(result, &progress.cancel));
    if (!more) return {};
    ASSIGN_OR_RETURN(const uint64_t number, count_of_result(result, "number"));
    ASSIGN_OR_RETURN(const uint64_t total, count_of_result(result, "of"));
    TRY(on_result(result));
    progress.bytes_total.store(total, std::memory_order_relaxed);
    progress.bytes_done.store(number, std::memory_order_relaxed);
  }
}

}  // namespace thaw
