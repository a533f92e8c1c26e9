// SPDX-License-Identifier: Apache-2.0
//
// The verbs of the lab that need a real guest: its driver does the work.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "thaw/base/bytes.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/lab/function_trace.h"
#include "thaw/lab/guest_driver.h"
#include "thaw/lab/lab_guest.h"

namespace thaw {
namespace {

using nlohmann::json;

struct GuestImage {
  std::string name;
  bool built = false;
  std::string kernel_sha256;
  std::string initramfs_sha256;
  uint64_t bytes = 0;
};

Result<GuestImage> image_of(const json& result) {
  GuestImage image;
  ASSIGN_OR_RETURN(image.name, text_of_result(result, "image"));
  image.built = result.value("built", json()) == true;
  ASSIGN_OR_RETURN(image.kernel_sha256, text_of_result(result, "kernel_sha256"));
  ASSIGN_OR_RETURN(image.initramfs_sha256, text_of_result(result, "initramfs_sha256"));
  ASSIGN_OR_RETURN(const uint64_t kernel, count_of_result(result, "kernel_bytes"));
  ASSIGN_OR_RETURN(const uint64_t initramfs, count_of_result(result, "initramfs_bytes"));
  image.bytes = kernel + initramfs;
  return image;
}

struct RecordedFunction {
  std::string name;
  uint64_t touched = 0;
  uint64_t runs = 0;
  double in_recording = 0;  // of the pages touched
  uint64_t other_touched = 0;
  double other_in_recording = 0;
};

Result<RecordedFunction> recorded_of(const json& result) {
  RecordedFunction function;
  ASSIGN_OR_RETURN(function.name, text_of_result(result, "function"));
  ASSIGN_OR_RETURN(function.touched, count_of_result(result, "touched"));
  ASSIGN_OR_RETURN(function.runs, count_of_result(result, "runs"));
  ASSIGN_OR_RETURN(function.in_recording, number_of_result(result, "in_recording"));
  ASSIGN_OR_RETURN(function.other_touched, count_of_result(result, "other_touched"));
  ASSIGN_OR_RETURN(function.other_in_recording, number_of_result(result, "other_in_recording"));
  return function;
}

std::string share_text(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.3f", share);
  return text;
}

}  // namespace

Result<void> run_lab_build(const Settings&, const LabBuildRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const GuestProgram driver, find_guest_driver(GuestVmm::kQemu, request.driver));
  std::vector<std::string> arguments{"images", "--output", request.output};
  if (request.with) arguments.insert(arguments.end(), {"--with", *request.with});
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("lab build", out, JobUnit::kPieces));
  TextTable table;
  table.add({"image", "", "size", "SHA-256 of initramfs and kernel"});
  std::vector<JsonObject> images;
  const OnResult take = [&](const json& result) -> Result<void> {
    ASSIGN_OR_RETURN(const GuestImage image, image_of(result));
    table.add({image.name, image.built ? "built" : "up to date", human_bytes(image.bytes),
               image.initramfs_sha256});
    table.add({"", "", "", image.kernel_sha256});
    images.emplace_back()
        .set("image", image.name)
        .set("built", image.built)
        .set("bytes", image.bytes)
        .set("kernel_sha256", image.kernel_sha256)
        .set("initramfs_sha256", image.initramfs_sha256);
    return {};
  };
  TRY(run_guest_driver(driver, arguments, job->progress(), take));
  out.say(table.text());
  out.result().set("output", request.output).set("images", images);
  return {};
}

Result<void> run_lab_trace(const Settings&, const LabTraceRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const GuestProgram driver, find_guest_driver(request.vmm, request.driver));
  std::vector<std::string> arguments{"traces", "--images", request.images, "--output",
                                     request.output};
  if (request.vmm == GuestVmm::kQemu) {
    ASSIGN_OR_RETURN(const std::string preload, find_preload_library(request.preload));
    arguments.insert(arguments.end(), {"--preload", preload});
  }
  if (request.guests) arguments.insert(arguments.end(), {"--guests", *request.guests});
  for (const std::string& name : request.functions) {
    arguments.insert(arguments.end(), {"--function", name});
  }
  ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("lab trace", out, JobUnit::kPieces));
  TextTable table;
  table.add({"function", "pages touched", "runs", "in the recording", "other input: touched",
             "in the recording"});
  std::vector<JsonObject> functions;
  const OnResult take = [&](const json& result) -> Result<void> {
    ASSIGN_OR_RETURN(const RecordedFunction function, recorded_of(result));
    // What the lab cannot read is found now, not by the first scenario.
    TRY(load_function(request.output, function.name));
    if (request.guests) TRY(load_guest(*request.guests, function.name, request.vmm));
    table.add({function.name, std::to_string(function.touched), std::to_string(function.runs),
               share_text(function.in_recording), std::to_string(function.other_touched),
               share_text(function.other_in_recording)});
    functions.emplace_back()
        .set("function", function.name)
        .set("touched", function.touched)
        .set("runs", function.runs)
        .set("in_recording", function.in_recording)
        .set("other_touched", function.other_touched)
        .set("other_in_recording", function.other_in_recording);
    return {};
  };
  TRY(run_guest_driver(driver, arguments, job->progress(), take));
  out.say(table.text());
  out.result().set("output", request.output).set("functions", functions);
  if (request.guests) out.result().set("guests", *request.guests);
  return {};
}

}  // namespace thaw
