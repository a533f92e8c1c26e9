// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/results_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "thaw/base/bytes.h"
#include "thaw/base/log.h"
#include "thaw/lab/run_facts.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint64_t kResultsBytesMax = uint64_t{1} << 32;

std::string path_in(const std::string& directory) { return directory + "/results.jsonl"; }

Result<void> sync(const Fd& file, const std::string& path) {
  if (::fsync(file.get()) != 0) return fail_errno("cannot write " + path, errno);
  return {};
}

/// Whether results with the header `found` may go on with `now`.
Result<void> check_header(const ResultsHeader& found, const ResultsHeader& now,
                          const std::string& path) {
  if (found.digest != now.digest) {
    return fail(ErrorCode::kExists, path + " holds results of another scenario (" + found.scenario +
                                        ", or an older form of it); choose another --output");
  }
  const std::string changed = facts_changed(found, now);
  if (changed.empty()) return {};
  return fail(ErrorCode::kExists,
              path + " holds results that are not to be mixed with new ones: " + changed +
                  "; choose another --output, or go on where they were made");
}

/// Whole lines, and the bytes that they take.
struct Parsed {
  Results results;
  bool has_header = false;
  size_t bytes = 0;
};

Result<Parsed> parse_lines(std::string_view text, const std::string& path) {
  Parsed parsed;
  for (size_t number = 1;; ++number) {
    const size_t end = text.find('\n', parsed.bytes);
    if (end == std::string_view::npos) return parsed;
    const std::string_view line = text.substr(parsed.bytes, end - parsed.bytes);
    const std::string place = path + " line " + std::to_string(number);
    if (!parsed.has_header) {
      Result<ResultsHeader> header = decode_header(line);
      if (!header) return fail(std::move(header).error().with_context(place));
      parsed.results.header = std::move(*header);
      parsed.has_header = true;
    } else {
      Result<Measurement> measurement = decode_measurement(line);
      if (!measurement) return fail(std::move(measurement).error().with_context(place));
      parsed.results.measurements.push_back(std::move(*measurement));
    }
    parsed.bytes = end + 1;
  }
}

}  // namespace

Result<Results> read_results(const std::string& directory) {
  const std::string path = path_in(directory);
  ASSIGN_OR_RETURN(const Bytes bytes, read_file(path, kResultsBytesMax));
  ASSIGN_OR_RETURN(Parsed parsed, parse_lines(as_text(bytes), path));
  if (!parsed.has_header) return fail(ErrorCode::kInvalid, path + " holds no results");
  return std::move(parsed.results);
}

Result<ResultsFile> ResultsFile::open(const std::string& directory, const ResultsHeader& header) {
  TRY(make_directories(directory, 0755));
  const std::string path = path_in(directory);
  ASSIGN_OR_RETURN(Fd fd, open_file(path, O_RDWR | O_CREAT | O_APPEND, 0644));
  ResultsFile file(path, std::move(fd));
  if (::flock(file.file_.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::kExhausted, path + " is being written by another run");
  }
  ASSIGN_OR_RETURN(const Bytes bytes, read_file(path, kResultsBytesMax));
  ASSIGN_OR_RETURN(Parsed parsed, parse_lines(as_text(bytes), path));
  const bool begun = !parsed.results.measurements.empty();
  if (begun) TRY(check_header(parsed.results.header, header, path));
  file.bytes_ = begun ? parsed.bytes : 0;
  if (file.bytes_ != bytes.size()) {
    if (::ftruncate(file.file_.get(), static_cast<off_t>(file.bytes_)) != 0) {
      return fail_errno("cannot drop the unfinished line of " + path, errno);
    }
  }
  if (!begun) {
    TRY(file.append_line(encode_header(header)));
    TRY(sync_directory(directory));
  }
  file.measurements_ = std::move(parsed.results.measurements);
  return file;
}

Result<void> ResultsFile::append(const Measurement& measurement) {
  return append_line(encode_measurement(measurement));
}

Result<void> ResultsFile::append_line(const std::string& line) {
  Result<void> written = write_all(file_.get(), as_bytes(line + "\n"), path_);
  if (written) written = sync(file_, path_);
  if (written) {
    bytes_ += line.size() + 1;
    return {};
  }
  // What a full disk took of the line gives its room back.
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) {
    log_warning("cannot drop the unfinished line of " + path_ + "; the next run does");
  }
  return written;
}

}  // namespace thaw
