// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"
#include "thaw/freeze/snapshot_verify.h"

namespace thaw {
namespace {

/// A missing object is damage like a changed one; what says nothing about the data stays.
ErrorCode code_of_damage(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kInvalid:
    case ErrorCode::kExhausted:  // larger than a manifest may be
      return ErrorCode::kCorrupt;
    default:
      return code;
  }
}

void say_verdict(const SnapshotVerdict& verdict, Output& out) {
  const uint64_t chunks = verdict.chunks_good + verdict.chunks_bad;
  std::string line = verdict.name + ": " + (verdict.good() ? "good" : "BAD") + ", " +
                     format_count(chunks, "chunk") + ", " + human_bytes(verdict.bytes_checked) +
                     " in " + format_seconds(verdict.seconds);
  if (verdict.chunks_skipped != 0) {
    line += ", " + std::to_string(verdict.chunks_skipped) + " more checked before";
  }
  line += "\n";
  for (const BadObject& bad : verdict.bad) {
    line += "  " + bad.key + "\n    " + bad.error.message + "\n";
  }
  out.say(line);
}

JsonObject describe(const SnapshotVerdict& verdict) {
  std::vector<JsonObject> bad;
  for (const BadObject& object : verdict.bad) {
    bad.emplace_back()
        .set("key", object.key)
        .set("code", to_string(object.error.code))
        .set("message", printable(object.error.message));
  }
  JsonObject object;
  object.set("name", verdict.name)
      .set("good", verdict.good())
      .set("manifest", verdict.target.manifest.hex())
      .set("chunks_good", verdict.chunks_good)
      .set("chunks_bad", verdict.chunks_bad)
      .set("chunks_skipped", verdict.chunks_skipped)
      .set("bytes_checked", verdict.bytes_checked)
      .set("seconds", verdict.seconds)
      .set("bad", bad);
  return object;
}

Result<std::vector<SnapshotVerdict>> verdicts_of(Workspace& workspace, const VerifyRequest& request,
                                                 const VerifyOptions& options, Progress& progress) {
  if (request.all) {
    return verify_tenant(workspace.catalog(), workspace.keys(), options, progress);
  }
  std::vector<SnapshotVerdict> verdicts;
  for (const std::string& name : request.names) {
    ASSIGN_OR_RETURN(SnapshotVerdict verdict, verify_snapshot(workspace.catalog(), workspace.keys(),
                                                              name, options, progress));
    verdicts.push_back(std::move(verdict));
    if (!verdicts.back().good() && !options.keep_going) break;
  }
  return verdicts;
}

}  // namespace

Result<void> run_verify(const Settings& settings, const VerifyRequest& request, Output& out) {
  if (request.all == !request.names.empty()) {
    return fail(ErrorCode::kInvalid, "verify takes either names of snapshots or --all");
  }
  for (const std::string& name : request.names) TRY(validate_name("snapshot name", name));
  VerifyOptions options;
  options.threads = static_cast<unsigned>(request.threads.value_or(settings.config.freeze.threads));
  options.keep_going = request.keep_going;
  ASSIGN_OR_RETURN(Workspace workspace, Workspace::open(settings));

  std::vector<SnapshotVerdict> verdicts;
  {
    ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("verify", out));
    ASSIGN_OR_RETURN(verdicts, verdicts_of(workspace, request, options, job->progress()));
  }
  const SnapshotVerdict* first_bad = nullptr;
  std::vector<JsonObject> objects;
  for (const SnapshotVerdict& verdict : verdicts) {
    say_verdict(verdict, out);
    objects.push_back(describe(verdict));
    if (!verdict.good() && first_bad == nullptr) first_bad = &verdict;
  }
  if (verdicts.empty()) out.say("no snapshots\n");
  out.result().set("good", first_bad == nullptr).set("snapshots", objects);
  if (first_bad == nullptr) return {};
  const Error& error = first_bad->bad.front().error;
  return fail(code_of_damage(error.code),
              "snapshot " + quote(first_bad->name) + " did not verify: " + error.message);
}

}  // namespace thaw
