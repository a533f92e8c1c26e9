// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/declare_verbs.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

void declare_lab_run(VerbList& lab) {
  auto [options, request] = lab.add<LabRunRequest>(
      {"run",
       "Measure a scenario: every combination of its axes, in rounds, each in an order drawn from "
       "its seed. Every page that a guest touches is compared with an oracle. A run that was "
       "stopped goes on where it was when it is started again.",
       "  thaw lab run scenarios/smoke.toml --output smoke"},
      run_lab_run);
  options.text("SCENARIO", request.scenario, kFileType, "The scenario, TOML");
  options.require("SCENARIO");
  options.text("--output", request.output, kDirectoryType,
               "Gets results.jsonl, and scratch files while it runs: on a disk with direct I/O");
  options.require("--output");
  options.text("--traces", request.traces, kDirectoryType,
               "The functions' page traces; default those that come with thaw");
  options.text("--guests", request.guests, kDirectoryType,
               "What `thaw lab trace --guests` kept: for cells with a real guest");
  options.text(
      "--driver", request.driver, kFileType,
      "The thaw-qemu or thaw-firecracker to use; default the one that comes with thaw, else that "
      "in PATH");
  options.text("--preload", request.preload, kFileType,
               "libthaw_uffd_preload.so; default the one that comes with thaw");
  options.flag("--yes", request.yes, "Run however many measurements there are, without asking");
}

void declare_lab_show(VerbList& lab) {
  auto [options, request] = lab.add<LabShowRequest>(
      {"show",
       "Show a run's resume times, a row for each cell: median and 95 % interval of its ratio to "
       "REAP over a plain file with the same function, where that was measured.",
       "  thaw lab show smoke"},
      run_lab_show);
  options.text("DIR", request.results, kDirectoryType, "What `thaw lab run` wrote");
  options.require("DIR");
}

void declare_lab_compare(VerbList& lab) {
  auto [options, request] = lab.add<LabCompareRequest>(
      {"compare",
       "Say which cells of two runs differ: the ratio of their medians, B over A, and its 95 % "
       "bootstrap interval.",
       "  thaw lab compare before after"},
      run_lab_compare);
  options.text("A", request.a, kDirectoryType, "What `thaw lab run` wrote");
  options.require("A");
  options.text("B", request.b, kDirectoryType, "The same, later or elsewhere");
  options.require("B");
}

void declare_lab_validate(VerbList& lab) {
  auto [options, request] = lab.add<LabValidateRequest>(
      {"validate",
       "Hold the replay VMM against real guests: of cells that were measured with both drivers, "
       "whether they are in the same order, and how many times the replayed extra time, above that "
       "with all memory present, the real one is.",
       "  thaw lab run scenarios/real.toml --traces traces --guests guests --output real\n"
       "  thaw lab validate real"},
      run_lab_validate);
  options.text("DIR", request.results, kDirectoryType, "What `thaw lab run` wrote");
  options.require("DIR");
}

void declare_lab_report(VerbList& lab) {
  auto [options, request] = lab.add<LabReportRequest>(
      {"report",
       "Write a run's figures as one HTML file, which needs no network, and as a CSV file each: "
       "overhead over plain REAP by technique and storage, distributions, stages, bytes, processor "
       "time, memory, scaling. Under each stands what it shows, with its uncertainty. Figures that "
       "the results have not the cells for are left out, and the report says which they need.",
       "  thaw lab report smoke"},
      run_lab_report);
  options.text("DIR", request.results, kDirectoryType, "What `thaw lab run` wrote");
  options.require("DIR");
  options.text("--output", request.output, kFileType, "The HTML file; default DIR/report.html");
  options.text("--csv", request.csv, kDirectoryType, "Gets the CSV files; default DIR/report");
  options.text("--plotting-library", request.plotting_library, kFileType,
               "Chart.js, which the HTML file carries; default that of the Debian package "
               "libjs-chart.js");
}

void declare_lab_build(VerbList& lab) {
  auto [options, request] = lab.add<LabBuildRequest>(
      {"build",
       "Build the guest images of the lab's functions from Debian 12 packages; nothing is "
       "installed. The same packages give the same bytes; image.json beside each has the packages "
       "and the digests. What is up to date stays as it is. Needs apt-get and dpkg.",
       "  thaw lab build --output images"},
      run_lab_build);
  options.text("--output", request.output, kDirectoryType, "Gets a folder for each image");
  options.require("--output");
  options.text("--with", request.with, "LIST",
               "Of numpy, pil and node, with commas, what functions need; default all");
  options.text("--driver", request.driver, kFileType,
               "The thaw-qemu to use; default the one that comes with thaw, else that in PATH");
}

void declare_lab_trace(VerbList& lab) {
  auto [options, request] = lab.add<LabTraceRequest>(
      {"trace",
       "Record what the lab replays: boot, warm and snapshot a guest of each function, resume it "
       "three times and write which pages it touches, in which order and after which time of "
       "computing. Needs QEMU, or Firecracker with KVM, and leave to use userfaultfd; replaying "
       "needs neither. "
       "With --guests each snapshot is kept, so that its calls can be made of a real guest again: "
       "GUESTS/NAME has its memory, vmstate, the same traces, and guest.json with the SHA-256 of "
       "all "
       "of them and what the recorded calls must answer.",
       "  thaw lab build --output images\n"
       "  thaw lab trace --images images --output traces --function json\n"
       "  thaw lab trace --images images --output traces --guests guests"},
      run_lab_trace);
  options.text("--images", request.images, kDirectoryType, "What `thaw lab build` wrote");
  options.require("--images");
  options.text("--output", request.output, kDirectoryType,
               "Gets NAME.shape, NAME.recorded.trace, NAME.trace and NAME.other.trace");
  options.require("--output");
  options.texts("--function", request.functions, "NAME",
                "Record this one; may be repeated; default all");
  options.text("--guests", request.guests, kDirectoryType,
               "Keeps each function's snapshot in a folder there, in place of an older one");
  options.choice(
      "--vmm", {"qemu", "firecracker"},
      [&vmm = request.vmm](const std::string& word) { vmm = *parse_guest_vmm(word); },
      "What the guests run in, and --guests are kept for; default qemu");
  options.text(
      "--driver", request.driver, kFileType,
      "The thaw-qemu or thaw-firecracker to use; default the one that comes with thaw, else that "
      "in PATH");
  options.text("--preload", request.preload, kFileType,
               "libthaw_uffd_preload.so; default the one that comes with thaw");
}

void declare_lab_fleet(VerbList& lab) {
  auto [options, request] = lab.add<LabFleetRequest>(
      {"fleet",
       "Simulate a fleet of 1 to 100,000 workers: popularity by Zipf, cron scans, bursts, lost "
       "cache servers, emptied caches. Shows hit rates by tier, the origin's load, resume times, "
       "and hit rates against cache sizes. Caches evict by thaw's own policies and stripes are "
       "placed by its own placement; what an operation costs is measured, on this machine with "
       "--measure. The same scenario and costs give the same figures anywhere.",
       "  thaw lab fleet scenarios/fleet/thousand.toml --output thousand\n"
       "  thaw lab fleet --measure costs.json\n"
       "  thaw lab fleet scenarios/fleet/one.toml --costs costs.json"},
      run_lab_fleet);
  options.text("SCENARIO", request.scenario, kFileType, "The fleet, TOML");
  options.text("--costs", request.costs, kFileType,
               "What operations cost, JSON; default costs.json beside the scenario");
  options.text("--output", request.output, kDirectoryType,
               "Gets fleet.json, over_time.csv, resume_ms.csv and sizes.csv");
  options.text("--measure", request.measure, kFileType,
               "Measure the costs here instead, on the disk of FILE, and write them to it");
  options.exclude("--measure", "--costs");
  options.exclude("--measure", "--output");
}

}  // namespace

void declare_lab_verbs(VerbList& verbs) {
  VerbList lab = verbs.add_group({"lab",
                                  "Compare restore techniques over kinds of storage, with played "
                                  "traces of real functions.",
                                  "  thaw lab run scenarios/smoke.toml --output smoke\n"
                                  "  thaw lab show smoke"});
  declare_lab_run(lab);
  declare_lab_show(lab);
  declare_lab_compare(lab);
  declare_lab_validate(lab);
  declare_lab_report(lab);
  declare_lab_build(lab);
  declare_lab_trace(lab);
  declare_lab_fleet(lab);
}

}  // namespace thaw
