// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/recording_job.h"

#include <algorithm>
#include <cstdio>

#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/store/stored_working_set.h"
#include "thaw/sys/process.h"

namespace thaw {
namespace {

/// How much the newest recording has in common with each of the others.
struct Overlap {
  double mean = 0;
  double least = 1;
};

Overlap overlap_of(const WorkingSet& set) {
  Overlap overlap;
  const size_t others = set.recordings.size() - 1;
  for (size_t i = 0; i < others; ++i) {
    const double one = jaccard(set.recordings[i], set.recordings.back());
    overlap.mean += one / static_cast<double>(others);
    overlap.least = std::min(overlap.least, one);
  }
  return overlap;
}

std::string two_decimals(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

void say_recorded(const RecordingTarget& snapshot, RecordEnd end, const WorkingSet& set,
                  Output& out) {
  const std::vector<Touch>& touches = set.recordings.back().touches;
  const auto written =
      static_cast<uint64_t>(std::ranges::count_if(touches, [](const Touch& t) { return t.write; }));
  const double seconds = touches.back().us / 1e6;
  JsonObject event;
  event.set("event", "recorded")
      .set("name", snapshot.name)
      .set("manifest", snapshot.target.manifest.hex())
      .set("end", to_string(end))
      .set("pages", touches.size())
      .set("written_pages", written)
      .set("written_share", share(written, touches.size()))
      .set("seconds", seconds)
      .set("recordings", set.recordings.size());
  std::string text = "recorded: " + snapshot.name + ", " + format_count(touches.size(), "page") +
                     ", " + format_share(written, touches.size()) + " written first, in " +
                     format_seconds(seconds) + ", ended by " + to_string(end) + "; " +
                     format_count(set.recordings.size(), "recording");
  if (set.recordings.size() > 1) {
    const Overlap overlap = overlap_of(set);
    event.set("overlap", overlap.mean).set("overlap_min", overlap.least);
    text += ", overlap " + two_decimals(overlap.mean) + " with the former, at least " +
            two_decimals(overlap.least);
  }
  out.event(event, text);
}

}  // namespace

RecordingJob::RecordingJob(const RecordingTarget& snapshot, Recorder& recorder, Output& out)
    : snapshot_(snapshot), recorder_(recorder), out_(out) {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] {
    outcome_ = write(recorder_.wait());
    if (outcome_) return;
    JsonObject event;
    event.set("event", "record_failed")
        .set("code", to_string(outcome_.error().code))
        .set("message", printable(outcome_.error().message));
    out_.event(event, "not recorded: " + outcome_.error().message);
  });
}

RecordingJob::~RecordingJob() {
  recorder_.stop(RecordEnd::kAbandoned);
  if (thread_.joinable()) thread_.join();
}

Result<void> RecordingJob::finish() {
  if (thread_.joinable()) thread_.join();
  return outcome_;
}

Result<void> RecordingJob::write(RecordEnd end) {
  Recording recording = recorder_.recording();
  const std::string what = "the recording of snapshot " + quote(snapshot_.name);
  if (end == RecordEnd::kAbandoned) {
    return fail(ErrorCode::kInterrupted,
                what + " was abandoned after " + format_count(recording.touches.size(), "page") +
                    ": it was stopped or its VM failed before the recording had ended; nothing "
                    "was written");
  }
  if (recording.touches.empty()) {
    return fail(ErrorCode::kInvalid,
                what + " is empty: the guest touched no page of manifest " +
                    snapshot_.target.manifest.hex() + " before it ended (" + to_string(end) +
                    "); nothing was written. End it after the guest has done its work, and let "
                    "the VM resume from this socket or mount");
  }
  ASSIGN_OR_RETURN(const WorkingSet set,
                   add_recording(snapshot_.catalog, snapshot_.keys, snapshot_.target,
                                 snapshot_.page_count, std::move(recording), snapshot_.replace));
  say_recorded(snapshot_, end, set, out_);
  return {};
}

}  // namespace thaw
