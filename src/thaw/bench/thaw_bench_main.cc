// SPDX-License-Identifier: Apache-2.0
//
// thaw-bench [--smoke] [--json FILE] [--table resume | PART...]: runs the comparisons, prints a
// table, writes JSON. With --table instead all ways of resuming, by function and tier.
// PART is a name of the table in main(), "faults" and so on; all of them if none is named.
// `tools/bench.py` runs it for `make bench` and adds what needs whole programs.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "thaw/base/chunk_heap.h"
#include "thaw/bench/paired.h"
#include "thaw/bench/resume_table.h"

namespace {

using Json = nlohmann::ordered_json;
using namespace thaw;

Json to_json(const Comparison& result) {
  Json json = {{"ratio", result.ratio.median},
               {"floor", result.floor},
               {"ours", result.ours},
               {"unit", result.unit},
               {"ratio_low", result.ratio.low},
               {"ratio_high", result.ratio.high},
               {"what", result.what}};
  if (result.report_only) return json;
  json["target"] = result.target;
  json["target_is"] = result.at_least ? "at least" : "at most";
  json["met"] = result.met();
  return json;
}

void print(const Comparison& result) {
  char target[32] = "no target";
  if (!result.report_only) {
    std::snprintf(target, sizeof target, "%s %-5.2f %-4s",
                  result.at_least ? ">=" : "<=", result.target, result.met() ? "met" : "MISS");
  }
  std::printf("%-32s %8.2f  (%5.2f to %5.2f)  %-13s %12.2f %12.2f %-5s %s\n", result.name.c_str(),
              result.ratio.median, result.ratio.low, result.ratio.high, target, result.ours,
              result.floor, result.unit.c_str(), result.what.c_str());
  std::fflush(stdout);
}

bool write_json(const std::string& path, const Json& json) {
  if (path.empty()) return true;
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (file.flush()) return true;
  std::fprintf(stderr, "cannot write %s\n", path.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_chunks();  // as thaw does
  BenchScale scale;
  std::string json_path;
  bool table = false;
  std::set<std::string> parts;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0) {
      scale.smoke = true;
    } else if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
      json_path = argv[++i];
    } else if (std::strcmp(argv[i], "--table") == 0 && i + 1 < argc &&
               std::strcmp(argv[i + 1], "resume") == 0) {
      table = true;
      ++i;
    } else if (argv[i][0] != '-') {
      parts.insert(argv[i]);
    } else {
      std::fprintf(stderr,
                   "usage: thaw-bench [--smoke] [--json FILE] [--table resume | PART...]\n");
      return 2;
    }
  }
  if (table) return write_json(json_path, resume_table(scale)) ? 0 : 1;
  struct Part {
    const char* name;
    std::vector<Comparison> (*run)(const BenchScale&);
  };
  const Part all[] = {{"faults", bench_faults},     {"placement", bench_placement},
                      {"prefault", bench_prefault}, {"freeze", bench_freeze},
                      {"manifest", bench_manifest}, {"memory_hit", bench_memory_hit},
                      {"local", bench_local},       {"zone", bench_zone},
                      {"restores", bench_restores}, {"policies", bench_policies},
                      {"resume", bench_resume},     {"parallel", bench_parallel},
                      {"diff", bench_diff}};
  std::printf("%-32s %8s  (%s)  %-8s %-4s %12s %12s\n", "comparison", "ratio", "quartiles     ",
              "target", "", "ours", "floor");
  Json summary = Json::object();
  for (const Part& part : all) {
    if (!parts.empty() && !parts.contains(part.name)) continue;
    for (const Comparison& result : part.run(scale)) {
      print(result);
      summary[result.name] = to_json(result);
    }
  }
  return write_json(json_path, summary) ? 0 : 1;
}
