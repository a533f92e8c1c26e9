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
  options.flag("--yes", request.yes, "Run however many measurements there are");
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
}

}  // namespace thaw
