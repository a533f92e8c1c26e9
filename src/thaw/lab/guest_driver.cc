// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/guest_driver.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "thaw/base/bytes.h"
#include "thaw/sys/child_process.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

using nlohmann::json;

constexpr char kDriver[] = "thaw-qemu";
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

/// The results of a run, line by line.
class Results {
 public:
  Results(std::string name, Progress& progress, const OnResult& on_result)
      : name_(std::move(name)), progress_(progress), on_result_(on_result) {}

  /// All lines until the end of the child's output, which may come before its own.
  Result<void> read(ChildProcess& child) {
    while (!progress_.cancelled()) {
      const Result<std::string> line = child.read_line(kLook);
      if (line) {
        TRY(take(*line));
      } else if (line.error().code == ErrorCode::kGone) {
        return {};
      } else if (line.error().code == ErrorCode::kInvalid) {
        return not_understood("a line without an end");
      } else if (line.error().code != ErrorCode::kUnavailable) {
        return fail(line.error());
      }
    }
    return fail(ErrorCode::kInterrupted, "interrupted");
  }

  /// Why the driver failed, by its own account.
  const std::optional<std::string>& error() const { return error_; }

 private:
  Result<void> take(const std::string& line) {
    const json result = json::parse(line, nullptr, false);
    if (!result.is_object()) return not_understood("'" + line.substr(0, 80) + "'");
    if (result.contains("error")) {
      ASSIGN_OR_RETURN(const std::string what, text_of_result(result, "error"));
      ASSIGN_OR_RETURN(const std::string remedy, text_of_result(result, "remedy"));
      error_ = what + "; to do: " + remedy;
      return {};
    }
    ASSIGN_OR_RETURN(const uint64_t number, count_of_result(result, "number"));
    ASSIGN_OR_RETURN(const uint64_t total, count_of_result(result, "of"));
    TRY(on_result_(result));
    progress_.bytes_total.store(total, std::memory_order_relaxed);
    progress_.bytes_done.store(number, std::memory_order_relaxed);
    return {};
  }

  Result<void> not_understood(const std::string& what) const {
    return fail(ErrorCode::kInvalid,
                name_ + " prints " + what + "; use the thaw-qemu that came with this thaw");
  }

  const std::string name_;
  Progress& progress_;
  const OnResult& on_result_;
  std::optional<std::string> error_;
};

tl::unexpected<Error> misses(const char* name) {
  return fail(ErrorCode::kInvalid, std::string("a result of the driver has no proper '") + name +
                                       "'; use the thaw-qemu that came with this thaw");
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

Result<std::string> find_guest_driver(const std::optional<std::string>& given) {
  std::vector<std::string> places{folder_of_this_program() + "/" + kDriver, THAW_DRIVER_SOURCE};
  std::string in_path = find_program(kDriver);
  places.push_back(in_path.empty() ? std::string(kDriver) + " in PATH" : std::move(in_path));
  return find_part("guest driver", "--driver", given, places);
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

Result<void> run_guest_driver(const std::string& driver, std::vector<std::string> arguments,
                              Progress& progress, const OnResult& on_result) {
  const std::string name = std::string(kDriver) + " " + arguments.at(0);
  arguments.insert(arguments.begin(), driver);
  arguments.emplace_back("--json");
  ASSIGN_OR_RETURN(const Fd errors, make_errors());
  const auto child = ChildProcess::start({.argv = std::move(arguments),
                                          .error = errors.get(),
                                          .pipe_output = true,
                                          .orphan_signal = SIGTERM});
  if (!child) {
    return fail(ErrorCode::kUnsupported, "cannot run " + name + ": " + child.error().message +
                                             "; it needs Python 3.11 and leave to be executed");
  }
  Results results(name, progress, on_result);
  const Result<void> read = results.read(**child);
  if (!read) {
    (*child)->stop(kUnwindMax);
    return read;
  }
  const std::optional<ChildEnd> end = (*child)->wait(kUnwindMax);
  if (end && end->exit_code == 0) return {};
  if (results.error()) return fail(ErrorCode::kUnavailable, name + " failed: " + *results.error());
  return fail(ErrorCode::kUnavailable,
              name + " " + (end ? end->describe() : "has closed its output and does not end") +
                  ": " + said_in(errors.get()));
}

}  // namespace thaw
