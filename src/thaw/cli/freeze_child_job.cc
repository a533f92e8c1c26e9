// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/freeze_child_job.h"

#include <fcntl.h>

#include <charconv>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/foreground_job.h"
#include "thaw/cli/text_table.h"
#include "thaw/freeze/diff_file.h"
#include "thaw/freeze/snapshot_child.h"

namespace thaw {
namespace {

/// A child's memory and what keeps it.
struct ChildSource {
  std::unique_ptr<ImageSource> source;
  ChildMemory memory;
  std::string how;  // candidates were told from other pages
};

/// The first bytes of a vmstate file; none for no path.
Result<Bytes> vmstate_head(const std::string& path) {
  if (path.empty()) return Bytes();
  ASSIGN_OR_RETURN(const Fd fd, open_file(path, O_RDONLY));
  Bytes head(kVmstateHeadBytes);
  ASSIGN_OR_RETURN(const size_t got, read_some_at(fd.get(), 0, head, path));
  head.resize(got);
  return head;
}

PageRuns copy_of(std::span<const PageRun> runs) { return {runs.begin(), runs.end()}; }

Result<ChildSource> open_source(const FreezeRequest& request, uint64_t memory_bytes) {
  ChildSource child;
  if (!request.diff.empty()) {
    ASSIGN_OR_RETURN(const Bytes head, vmstate_head(request.vmstate));
    TRY(check_diff_writer(request.writer, head, memory_bytes));
    ASSIGN_OR_RETURN(child.source, open_diff(request.diff, memory_bytes));
    child.memory = {child.source.get(), copy_of(child.source->data_runs()), true};
    child.how = "the diff's data";
  } else if (request.live_pid) {
    std::vector<LiveRegion> regions;
    for (const std::string& text : request.regions) {
      ASSIGN_OR_RETURN(const LiveRegion region, parse_region(text));
      regions.push_back(region);
    }
    ASSIGN_OR_RETURN(auto live,
                     LiveMemory::open(static_cast<pid_t>(*request.live_pid), std::move(regions),
                                      memory_bytes, request.no_balloon));
    child.how = live->tracking().describe();
    child.memory = {live.get(), copy_of(live->data_runs()), false};
    child.source = std::move(live);
  } else {
    ASSIGN_OR_RETURN(child.source, ImageFile::open(request.memory, ImageKind::kMemory));
    child.memory = {child.source.get(), std::nullopt, false};
    child.how = "every page";
  }
  return child;
}

std::string way_of(const ChildResult& result, const std::string& how) {
  switch (result.by) {
    case DirtyBy::kExtents:
      return how + ", not compared";
    case DirtyBy::kDigests:
      return how + ", compared with the parent's page digests";
    case DirtyBy::kComparison:
      return how + ", compared with the parent's pages, which were read for it" +
             (result.digests_error.empty() ? "; `--page-digests` saves that"
                                           : "; its digests are damaged: " + result.digests_error);
  }
  return how;
}

void report(const FreezeRequest& request, const ChildResult& result, const std::string& how,
            const ObjectStore& store, Output& out) {
  const FreezeStats& stats = result.freeze.stats;
  TextTable table;
  table.add({"snapshot", request.name + " in " + store.describe()});
  table.add({"manifest", result.freeze.target.manifest.hex()});
  table.add({"parent",
             request.parent + ", " + format_count(result.chunks_kept, "chunk") + " of it kept"});
  table.add(
      {"looked at", format_count(result.candidate_pages, "page") + ": " + way_of(result, how)});
  table.add({"dirty", format_count(result.changed_pages, "page") + ", and " +
                          std::to_string(result.cleared_pages) + " that are zero now"});
  table.add({"moved", format_count(result.moved_pages, "page") + " out of chunks hardly used"});
  table.add({"chunks", std::to_string(stats.chunks_total) + ": " +
                           std::to_string(stats.chunks_created) + " new, " +
                           human_bytes(stats.bytes_written) + " written"});
  if (result.has_working_set) table.add({"recordings", "the parent's"});
  table.add({"time", format_seconds(stats.seconds)});
  out.say(table.text());
  out.result()
      .set("name", request.name)
      .set("parent", request.parent)
      .set("root", result.freeze.target.root_id)
      .set("manifest", result.freeze.target.manifest.hex())
      .set("found_by", to_string(result.by))
      .set("tracking", how)
      .set("candidate_pages", result.candidate_pages)
      .set("changed_pages", result.changed_pages)
      .set("cleared_pages", result.cleared_pages)
      .set("moved_pages", result.moved_pages)
      .set("chunks_kept", result.chunks_kept)
      .set("chunks_total", stats.chunks_total)
      .set("chunks_created", stats.chunks_created)
      .set("chunks_existed", stats.chunks_existed)
      .set("bytes_total", stats.bytes_total)
      .set("bytes_written", stats.bytes_written)
      .set("manifest_bytes", stats.manifest_bytes)
      .set("working_set", result.has_working_set)
      .set("page_digests", result.has_digests)
      .set("seconds", stats.seconds);
  if (!result.digests_error.empty()) out.result().set("digests_error", result.digests_error);
}

/// A number in decimal or, behind 0x, in hexadecimal, and ':' or the end behind it.
bool take_number(std::string_view& text, uint64_t& out) {
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, out, base);
  if (error != std::errc()) return false;
  text = {rest, end};
  return true;
}

bool take_colon(std::string_view& text) {
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Result<LiveRegion> parse_region(std::string_view text) {
  std::string_view rest = text;
  LiveRegion region;
  const bool good = take_number(rest, region.address) && take_colon(rest) &&
                    take_number(rest, region.bytes) && take_colon(rest) &&
                    take_number(rest, region.offset) && rest.empty();
  if (good) return region;
  return fail(ErrorCode::kInvalid, "--region " + quote(text) +
                                       " is not ADDRESS:BYTES:OFFSET; numbers are decimal, or "
                                       "hexadecimal behind 0x");
}

Result<void> check_child_request(const FreezeRequest& request) {
  const bool child_option = !request.diff.empty() || !request.writer.empty() || request.live_pid ||
                            !request.regions.empty() || request.no_balloon;
  if (request.parent.empty()) {
    if (!child_option) return {};
    return fail(
        ErrorCode::kInvalid,
        "--diff, --writer, --live, --region and --no-balloon belong to a child; give its --parent");
  }
  TRY(validate_name("snapshot name", request.parent));
  const int sources =
      !request.diff.empty() + !request.memory.empty() + request.live_pid.has_value();
  if (sources != 1) {
    return fail(ErrorCode::kInvalid,
                "a child takes its memory from one of --diff, --memory and --live");
  }
  if (!request.working_set.empty()) {
    return fail(ErrorCode::kInvalid,
                "a child has its parent's layout and recordings; leave out --working-set, and use "
                "`thaw relayout` for another layout");
  }
  if (request.chunk_bytes) {
    return fail(ErrorCode::kInvalid, "a child has its parent's chunk size; leave out --chunk-size");
  }
  if (!request.writer.empty() && request.diff.empty()) {
    return fail(ErrorCode::kInvalid, "--writer says who wrote a diff; give the --diff");
  }
  if (request.live_pid.has_value() == request.regions.empty()) {
    return fail(ErrorCode::kInvalid, "--live and --region go together");
  }
  if (request.no_balloon && !request.live_pid) {
    return fail(ErrorCode::kInvalid, "--no-balloon is said of the VM that --live names");
  }
  for (const std::string& text : request.regions) TRY(parse_region(text));
  return {};
}

Result<FreezeResult> freeze_child_job(Workspace& workspace, const FreezeRequest& request,
                                      const FreezeOptions& options, Output& out) {
  Result<OpenedSnapshot> parent =
      open_snapshot(workspace.catalog(), workspace.keys(), request.parent);
  if (!parent) return fail(std::move(parent).error().with_context("parent"));
  const Image* memory = parent->manifest.find(ImageKind::kMemory);
  if (memory == nullptr) {
    return fail(ErrorCode::kInvalid, "the parent " + quote(request.parent) +
                                         " has no memory; freeze a full snapshot instead");
  }
  SourcePaths paths{"", request.vmstate, {}};
  for (const std::string& text : request.disks) {
    ASSIGN_OR_RETURN(auto disk, split_pair("--disk", text));
    paths.disks.push_back(std::move(disk));
  }
  std::vector<SourceImage> images;
  if (!paths.vmstate.empty() || !paths.disks.empty()) {
    ASSIGN_OR_RETURN(images, open_sources(paths));
  }
  ASSIGN_OR_RETURN(ChildSource source, open_source(request, memory->bytes));
  ChildResult result;
  {
    ASSIGN_OR_RETURN(const auto job, ForegroundJob::start("freeze " + request.name, out));
    ASSIGN_OR_RETURN(result,
                     freeze_child(workspace.catalog(), workspace.keys(), request.name,
                                  {request.parent, parent->target, parent->manifest},
                                  std::move(source.memory), images, options, job->progress()));
  }
  report(request, result, source.how, workspace.catalog().store(), out);
  if (options.page_digests && !result.has_digests) {
    out.note(
        "page digests were not written: the parent has none, and a child's are made from "
        "them\n");
  }
  return result.freeze;
}

}  // namespace thaw
