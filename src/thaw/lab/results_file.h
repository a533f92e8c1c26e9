// SPDX-License-Identifier: Apache-2.0
//
// ResultsFile: DIR/results.jsonl, a header and a line for each measurement, each durable before the
// next is made. A run that was cut off goes on where it was: a last line that is not whole was cut
// off while it was written, and is dropped.
#pragma once

#include <string>
#include <vector>

#include "thaw/base/result.h"
#include "thaw/lab/measurement.h"
#include "thaw/sys/fd.h"

namespace thaw {

struct Results {
  ResultsHeader header;
  std::vector<Measurement> measurements;
};

/// All of `directory`/results.jsonl. kNotFound if there is none; kInvalid, with the line's number,
/// if a line but the last is none.
Result<Results> read_results(const std::string& directory);

/// Belongs to one thread; one process at a time.
class ResultsFile {
 public:
  /// Makes directory and file, or goes on with a file of the same scenario, thaw and machine.
  /// kExists if it is of others, with what to do; kExhausted if another process writes it. A file
  /// without a measurement is made anew: nothing in it binds anybody.
  static Result<ResultsFile> open(const std::string& directory, const ResultsHeader& header);

  /// What was there.
  const std::vector<Measurement>& measurements() const { return measurements_; }
  /// Durable on return. On an error the file is as before, or its last line is not whole, or not
  /// durable.
  Result<void> append(const Measurement& measurement);

 private:
  ResultsFile(std::string path, Fd file) : path_(std::move(path)), file_(std::move(file)) {}
  Result<void> append_line(const std::string& line);

  std::string path_;
  Fd file_;
  uint64_t bytes_ = 0;  // of whole lines
  std::vector<Measurement> measurements_;
};

}  // namespace thaw
