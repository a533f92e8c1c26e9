// SPDX-License-Identifier: Apache-2.0
//
// RecordingJob: waits for the end of a recording while its VM is being served, puts it beside the
// snapshot and says so.
#pragma once

#include <string>
#include <thread>

#include "thaw/base/result.h"
#include "thaw/cli/output.h"
#include "thaw/crypto/key_provider.h"
#include "thaw/resume/recorder.h"
#include "thaw/store/catalog.h"

namespace thaw {

/// What is recorded: a manifest, whatever becomes of the name that led to it. Borrows.
struct RecordingTarget {
  Catalog& catalog;
  const KeyProvider& keys;
  std::string name;
  NameTarget target;
  uint64_t page_count = 0;  // of its memory
  bool replace = false;     // the recordings that there are
};

/// Belongs to one thread. Its own thread takes no signals.
class RecordingJob {
 public:
  /// Borrows recorder and output.
  RecordingJob(const RecordingTarget& snapshot, Recorder& recorder, Output& out);
  /// Abandons a recording that has not ended.
  ~RecordingJob();
  RecordingJob(const RecordingJob&) = delete;
  RecordingJob& operator=(const RecordingJob&) = delete;

  /// Waits until the recording has ended and is written. kInterrupted if it was abandoned, kInvalid
  /// if it is empty: then nothing was written. Else errors of add_recording().
  Result<void> finish();

 private:
  Result<void> write(RecordEnd end);

  const RecordingTarget snapshot_;
  Recorder& recorder_;
  Output& out_;
  Result<void> outcome_;
  std::thread thread_;
};

}  // namespace thaw
