// SPDX-License-Identifier: Apache-2.0
//
// GuestDriver: `thaw-qemu`, the program that builds guest images and runs real guests, as a child
// whose results are read line by line.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "thaw/base/progress.h"
#include "thaw/base/result.h"

namespace thaw {

/// A program or library that stands apart from thaw: `given`, if it is; else the first of `places`
/// that is a readable file. kUnsupported names `what`, where it was looked for, and `option`.
Result<std::string> find_part(const std::string& what, const std::string& option,
                              const std::optional<std::string>& given,
                              const std::vector<std::string>& places);

/// The driver: the one that came with this thaw, beside the program or in its source, before one
/// that the PATH leads to.
Result<std::string> find_guest_driver(const std::optional<std::string>& given);
/// libthaw_uffd_preload.so, which hands a guest's memory to a page server.
Result<std::string> find_preload_library(const std::optional<std::string>& given);

/// A member of a driver's result; kInvalid if it has none of that type.
Result<std::string> text_of_result(const nlohmann::json& result, const char* name);
Result<uint64_t> count_of_result(const nlohmann::json& result, const char* name);
Result<double> number_of_result(const nlohmann::json& result, const char* name);

/// Runs `driver ARGUMENTS --json` to its end; each result as it comes, and how many of all it is
/// into `progress`. kUnavailable with what the driver says failed and what to do; kInvalid if it
/// speaks otherwise than this thaw expects; kUnsupported if it cannot be started; kInterrupted when
/// cancelled: then the driver was told, so that it ends its guests and takes its unfinished work
/// away, and has ended. From the main thread: the driver ends with it.
using OnResult = std::function<Result<void>(const nlohmann::json&)>;
Result<void> run_guest_driver(const std::string& driver, std::vector<std::string> arguments,
                              Progress& progress, const OnResult& on_result);

}  // namespace thaw
