// SPDX-License-Identifier: Apache-2.0
//
// The verbs: one struct of what was asked and one function each, which knows nothing of how the
// command line was parsed. Verb x lives in verb_x.cc. A verb checks what it was asked before it
// touches anything, speaks through Output, and returns the error that decides the exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/cli/output.h"
#include "thaw/cli/settings.h"
#include "thaw/freeze/live_memory.h"
#include "thaw/image/manifest.h"
#include "thaw/image/working_set.h"
#include "thaw/lab/guest_vmm.h"

namespace thaw {

/// "NAME=FILE" or "KEY=VALUE", cut at the first '='; kInvalid names `option` if there is none.
Result<std::pair<std::string, std::string>> split_pair(std::string_view option,
                                                       std::string_view text);

Result<void> run_init(const Settings& settings, Output& out);

Result<void> run_key_create(const Settings& settings, Output& out);
Result<void> run_key_list(const Settings& settings, Output& out);
struct KeyRotateRequest {
  bool rewrap_only = false;
};
Result<void> run_key_rotate(const Settings& settings, const KeyRotateRequest& request, Output& out);
Result<void> run_key_drop_retired(const Settings& settings, Output& out);

struct FreezeRequest {
  std::string name;
  std::string memory;
  std::string vmstate;
  std::vector<std::string> disks;  // NAME=FILE
  std::optional<uint64_t> chunk_bytes;
  std::optional<uint64_t> threads;
  bool replace = false;
  bool prime_zone = false;               // fill the zone with it afterwards
  std::vector<std::string> annotations;  // KEY=VALUE
  bool page_digests = false;
  // Hot at once, by an earlier snapshot's recording:
  std::string working_set;
  std::optional<double> share;
  // A child:
  std::string parent;
  std::string diff;
  std::string writer;  // of the diff: "firecracker-1.14.2"
  std::optional<uint64_t> live_pid;
  bool no_balloon = false;           // of the VM at live_pid
  std::vector<std::string> regions;  // ADDRESS:BYTES:OFFSET
};
Result<void> run_freeze(const Settings& settings, const FreezeRequest& request, Output& out);

/// "ADDRESS:BYTES:OFFSET", each a number in decimal or, behind 0x, in hexadecimal; kInvalid for
/// anything else.
Result<LiveRegion> parse_region(std::string_view text);

struct PackRequest {
  std::string name;
  PackKind kind = PackKind::kReap;
  uint64_t gap_pages = 0;
  std::optional<double> share;
  std::optional<uint64_t> threads;
};
Result<void> run_pack(const Settings& settings, const PackRequest& request, Output& out);

struct RelayoutRequest {
  std::string name;
  Layout layout = Layout::kHot;
  std::optional<double> share;  // of the recordings that must have a page
  std::optional<uint64_t> threads;
};
Result<void> run_relayout(const Settings& settings, const RelayoutRequest& request, Output& out);

struct LsRequest {
  std::string prefix;
  bool long_form = false;
  bool quiet = false;  // names only
};
Result<void> run_ls(const Settings& settings, const LsRequest& request, Output& out);

struct ShowRequest {
  std::string name;
  bool shared = false;                // compare with the tenant's other snapshots
  bool working_set = false;           // and what was recorded
  std::string trace;                  // write a recording there
  std::optional<uint32_t> recording;  // which one, from 1; else the newest
};
Result<void> run_show(const Settings& settings, const ShowRequest& request, Output& out);

struct VerifyRequest {
  std::vector<std::string> names;
  bool all = false;
  bool keep_going = false;
  std::optional<uint64_t> threads;
};
Result<void> run_verify(const Settings& settings, const VerifyRequest& request, Output& out);

struct ExportRequest {
  std::string name;
  std::string memory;
  std::string vmstate;
  std::vector<std::string> disks;  // NAME=FILE
  bool overwrite = false;
  std::optional<uint64_t> threads;
};
Result<void> run_export(const Settings& settings, const ExportRequest& request, Output& out);

struct RmRequest {
  std::string name;
};
Result<void> run_rm(const Settings& settings, const RmRequest& request, Output& out);

struct RestoreRequest {
  std::string name;
  std::string uffd;                     // the socket
  std::optional<std::string> strategy;  // parse_strategy_choice()
  std::optional<std::string> prefault;  // parse_prefault()
  std::optional<std::string> fill;      // parse_fill()
  std::optional<uint64_t> threads;
  std::optional<std::string> placement;    // parse_placement_choice()
  std::optional<std::string> fault_cores;  // CoreSet::parse()
  uint64_t sessions = 1;                   // 0: until a signal
  std::optional<uint64_t> clones;          // sessions, with a plain cache
  std::string vmstate;                     // export it there first
  bool overwrite = false;
};
Result<void> run_restore(const Settings& settings, const RestoreRequest& request, Output& out);

struct RecordRequest {
  std::string name;
  std::string uffd;   // the socket; or
  std::string mount;  // the directory
  std::optional<uint32_t> quiet_ms;
  std::optional<uint64_t> limit_pages;
  std::optional<uint32_t> limit_s;
  bool replace = false;  // the recordings that there are
  std::string vmstate;   // export it there first
  bool overwrite = false;
};
Result<void> run_record(const Settings& settings, const RecordRequest& request, Output& out);

struct MountRequest {
  std::string directory;
  bool allow_other = false;
  bool isolate_writers = false;
  std::optional<uint64_t> threads;
};
Result<void> run_mount(const Settings& settings, const MountRequest& request, Output& out);

Result<void> run_tier_status(const Settings& settings, Output& out);

struct WarmRequest {
  std::string name;
  bool local = false;  // neither: all that are configured
  bool zone = false;
};
Result<void> run_warm(const Settings& settings, const WarmRequest& request, Output& out);
/// The request with its tiers decided; kInvalid for a tier that is not configured.
Result<WarmRequest> checked_warm_request(const Settings& settings, WarmRequest request);

struct ScrubRequest {
  bool local = false;  // neither: all that are configured
  bool zone = false;
};
Result<void> run_scrub(const Settings& settings, const ScrubRequest& request, Output& out);

struct LabRunRequest {
  std::string scenario;
  std::string output;
  std::optional<std::string> traces;
  std::optional<std::string> guests;   // what run_lab_trace() kept, for cells with a real guest
  std::optional<std::string> driver;   // the same
  std::optional<std::string> preload;  // the same
  bool yes = false;                    // run however many cells there are
};
Result<void> run_lab_run(const Settings& settings, const LabRunRequest& request, Output& out);

struct LabShowRequest {
  std::string results;
};
Result<void> run_lab_show(const Settings& settings, const LabShowRequest& request, Output& out);

struct LabCompareRequest {
  std::string a;
  std::string b;
};
Result<void> run_lab_compare(const Settings& settings, const LabCompareRequest& request,
                             Output& out);

struct LabValidateRequest {
  std::string results;
};
Result<void> run_lab_validate(const Settings& settings, const LabValidateRequest& request,
                              Output& out);

struct LabReportRequest {
  std::string results;
  std::optional<std::string> output;  // the HTML file
  std::optional<std::string> csv;     // the directory
  std::optional<std::string> plotting_library;
};
Result<void> run_lab_report(const Settings& settings, const LabReportRequest& request, Output& out);

struct LabBuildRequest {
  std::string output;
  std::optional<std::string> with;    // extras with commas; none: all
  std::optional<std::string> driver;  // thaw-qemu, if not the one that comes with thaw
};
Result<void> run_lab_build(const Settings& settings, const LabBuildRequest& request, Output& out);

struct LabTraceRequest {
  std::string images;  // what run_lab_build() wrote
  std::string output;
  std::optional<std::string> guests;   // keep the snapshots there
  std::vector<std::string> functions;  // none: all
  GuestVmm vmm = GuestVmm::kQemu;
  std::optional<std::string> driver;
  std::optional<std::string> preload;  // the library, if not the one that comes with thaw
};
Result<void> run_lab_trace(const Settings& settings, const LabTraceRequest& request, Output& out);

struct LabFleetRequest {
  std::optional<std::string> scenario;
  std::optional<std::string> costs;    // none: costs.json beside the scenario
  std::optional<std::string> output;   // a directory
  std::optional<std::string> measure;  // instead of a scenario: the file to write costs to
};
Result<void> run_lab_fleet(const Settings& settings, const LabFleetRequest& request, Output& out);

/// The settings as far as they could be read: what is wrong with them is a finding.
Result<void> run_doctor(const Result<Settings>& settings, Output& out);

}  // namespace thaw
