// SPDX-License-Identifier: Apache-2.0
//
// GuestDriver: `thaw-qemu` or `thaw-firecracker`, the programs that run real guests in their VMM
// (the first builds the images of both), as a child whose results are read one by one.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"
#include "thaw/lab/guest_vmm.h"
#include "thaw/sys/child_process.h"
#include "thaw/sys/fd.h"

namespace thaw {

/// A program or library that stands apart from thaw: `given`, if it is; else the first of `places`
/// that is a readable file. kUnsupported names `what`, where it was looked for, and `option`.
Result<std::string> find_part(const std::string& what, const std::string& option,
                              const std::optional<std::string>& given,
                              const std::vector<std::string>& places);

/// A driver's program.
struct GuestProgram {
  GuestVmm vmm = GuestVmm::kQemu;
  std::string path;
  std::string name() const { return "thaw-" + word_of(vmm); }
};

/// The VMM's driver: the one that came with this thaw, beside the program or in its source, before
/// one that the PATH leads to.
Result<GuestProgram> find_guest_driver(GuestVmm vmm, const std::optional<std::string>& given);
/// libthaw_uffd_preload.so, which hands a QEMU guest's memory to a page server.
Result<std::string> find_preload_library(const std::optional<std::string>& given);

/// A member of a driver's result; kInvalid if it has none of that type.
Result<std::string> text_of_result(const nlohmann::json& result, const char* name);
Result<uint64_t> count_of_result(const nlohmann::json& result, const char* name);
Result<double> number_of_result(const nlohmann::json& result, const char* name);

/// A running driver, which takes its guests with it however it ends. Belongs to one thread.
class GuestDriver {
 public:
  /// By what the driver notices that nobody follows it any more.
  enum class Lifeline {
    kThread,  // the thread that started it has ended: for the main thread
    kInput,   // its standard input has: with `--follow-input`, from any thread
  };

  /// Runs `driver ARGUMENTS --json`; kUnsupported if it cannot be started.
  static Result<std::unique_ptr<GuestDriver>> start(const GuestProgram& driver,
                                                    std::vector<std::string> arguments,
                                                    Lifeline lifeline);
  /// As stop().
  ~GuestDriver();
  GuestDriver(const GuestDriver&) = delete;
  GuestDriver& operator=(const GuestDriver&) = delete;

  /// Its next result, whenever that comes; false if there is none, and it has ended well.
  /// kUnavailable with what the driver says failed and what to do; kCorrupt if it says that a page
  /// or an answer was wrong; kInvalid if it speaks otherwise than this thaw expects; kInterrupted
  /// once `cancel` is set. After a failure it has ended, as by stop().
  Result<bool> next(nlohmann::json& result, const std::atomic<bool>* cancel = nullptr);
  /// Tells it to end, and waits: it ends its guests and takes its unfinished work away.
  void stop();

  /// A line on its input. kGone if it has ended; next() says how.
  Result<void> proceed();
  /// Readable when next() has something to say.
  int output() const { return child_->output(); }

 private:
  GuestDriver(GuestProgram program, std::string name, Fd errors,
              std::unique_ptr<ChildProcess> child)
      : program_(std::move(program)),
        name_(std::move(name)),
        errors_(std::move(errors)),
        child_(std::move(child)) {}

  Result<bool> read(nlohmann::json& result, const std::atomic<bool>* cancel);
  Result<bool> end();
  tl::unexpected<Error> not_understood(const std::string& what) const;

  const GuestProgram program_;
  const std::string name_;  // with its verb
  const Fd errors_;         // what it prints on standard error
  const std::unique_ptr<ChildProcess> child_;
  std::optional<Error> error_;  // why it failed, by its own account
};

/// Runs `driver ARGUMENTS --json` to its end; each result as it comes, and how many of all it is
/// into `progress`. Fails as GuestDriver::next() does. From the main thread: the driver ends with
/// it.
using OnResult = std::function<Result<void>(const nlohmann::json&)>;
Result<void> run_guest_driver(const GuestProgram& driver, std::vector<std::string> arguments,
                              Progress& progress, const OnResult& on_result);

}  // namespace thaw
