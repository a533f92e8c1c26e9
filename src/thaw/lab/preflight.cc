// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/preflight.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <utility>

#include "thaw/lab/lab_guest.h"
#include "thaw/lab/machine_needs.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_system.h"
#include "thaw/sys/scratch_dir.h"

namespace thaw {
namespace {

/// Whether files may be made in `output`, or it itself in `place`.
Result<void> check_output(const std::string& output, const std::string& place) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(place, ignored)) {
    const bool itself = std::filesystem::exists(output, ignored);
    return fail(ErrorCode::kInvalid, (itself ? output : output + ": " + place) +
                                         " is not a directory; --output names the directory that "
                                         "gets the results");
  }
  // Tried, because permissions do not tell all: /proc, a quota, a read-only file system.
  std::string path = place + "/.thaw-lab-XXXXXX";
  const Fd made(::mkostemp(path.data(), O_CLOEXEC));
  if (made) {
    ::unlink(path.c_str());
    return {};
  }
  Error error = errno_error("cannot make a file in " + place, errno);
  if (error.code == ErrorCode::kNotFound) error.code = ErrorCode::kDenied;  // as /proc says it
  error.message += "; choose another --output";
  return fail(std::move(error).with_context("cannot write results to " + output));
}

/// The functions of the cells, as their guest has them.
Result<CellFunctions> load_functions(const Scenario& scenario, const PreflightOptions& options) {
  CellFunctions functions;
  for (const Cell& cell : scenario.cells) {
    const std::pair key{cell.driver, cell.function};
    auto found = functions.find(key);
    std::string traces = options.traces;
    if (const auto vmm = real_vmm_of(cell)) {
      ASSIGN_OR_RETURN(const LabGuest guest, load_guest(options.guests, cell.function, *vmm));
      traces = guest.directory;
    }
    if (found == functions.end()) {
      ASSIGN_OR_RETURN(FunctionTrace function, load_function(traces, cell.function));
      found = functions.emplace(key, std::move(function)).first;
    }
    if (cell.input == LabInput::kOther && !found->second.other) {
      return fail(ErrorCode::kNotFound,
                  "there is no trace of '" + cell.function + "' with another input in " + traces +
                      "; `thaw lab trace --function " + cell.function +
                      "` makes its files, or leave input other out of the scenario");
    }
  }
  return functions;
}

}  // namespace

Result<SpaceNeeds> preflight(const Scenario& scenario, const PreflightOptions& options) {
  const std::string place = nearest_directory(options.output);
  TRY(check_output(options.output, place));
  ASSIGN_OR_RETURN(const auto functions, load_functions(scenario, options));
  const MachineNeeds needs = needs_of(scenario.cells);
  TRY(check_machine(needs));
  if (needs.direct_io > 0) TRY(check_direct_io(place, needs.direct_io));
  // A killed run's files may be all that is in the way.
  ScratchDir::remove_abandoned(place);
  ScratchDir::remove_abandoned(options.memory_parent);
  const SpaceNeeds space = space_needs(scenario, functions);
  TRY(check_space(space, place, options.memory_parent));
  return space;
}

}  // namespace thaw
