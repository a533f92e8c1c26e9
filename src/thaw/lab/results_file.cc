// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/results_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint64_t kResultsBytesMax = uint64_t{1} << 32;

std::string path_in(const std::string& directory) { return directory + "/results.jsonl"; }

Result<void> sync(const Fd& file, const std::string& path) {
  if (::fsync(file.get()) != 0) return fail_errno("cannot write " + path, errno);
  return {};
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
  if (parsed.bytes != bytes.size()) {
    if (::ftruncate(file.file_.get(), static_cast<off_t>(parsed.bytes)) != 0) {
      return fail_errno("cannot drop the unfinished line of " + path, errno);
    }
  }
  if (parsed.has_header && parsed.results.header.digest != header.digest) {
    return fail(ErrorCode::kExists, path + " holds results of another scenario (" +
                                        parsed.results.header.scenario +
                                        ", or an older form of it); choose another --output");
  }
  if (!parsed.has_header) {
    TRY(write_all(file.file_.get(), as_bytes(encode_header(header) + "\n"), path));
    TRY(sync(file.file_, path));
    TRY(sync_directory(directory));
  }
  file.measurements_ = std::move(parsed.results.measurements);
  return file;
}

Result<void> ResultsFile::append(const Measurement& measurement) {
  TRY(write_all(file_.get(), as_bytes(encode_measurement(measurement) + "\n"), path_));
  return sync(file_, path_);
}

}  // namespace thaw
