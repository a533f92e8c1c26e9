// SPDX-License-Identifier: Apache-2.0
//
// Output: what a verb says. For people: lines and tables on standard output. With --json: exactly
// one object, or a line for each event of a verb that serves. Errors are for people on standard
// error and, with --json, the member "error" of the object.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "thaw/base/guarded.h"
#include "thaw/base/result.h"
#include "thaw/cli/json_object.h"

namespace thaw {

/// The text with everything escaped that would move a terminal's cursor or is not UTF-8; ends of
/// lines stay.
std::string printable(std::string_view text);

/// One thread at a time, but for event(). Borrows the streams.
class Output {
 public:
  Output(std::FILE* out, std::FILE* err, bool json) : out_(out), err_(err), json_(json) {}

  bool json() const { return json_; }
  /// True if a progress bar is of use.
  bool has_progress_bar() const;

  /// Text for people; nothing with --json. Ends of lines are the caller's.
  void say(std::string_view text);
  /// A remark for people on standard error; with --json as well.
  void note(std::string_view text);
  /// From any thread. What happened just now, flushed: the event's line with --json, else `text`. A
  /// reader that went away does not stop a server: it is noted once.
  void event(const JsonObject& event, std::string_view text);

  /// The object that finish() prints with --json.
  JsonObject& result() { return result_; }

  /// The last words: the error, if there is one, and the object. kUnavailable if standard output
  /// did not take all of it. Call once.
  Result<void> finish(const Error* error);

 private:
  void put(std::string_view text);

  std::FILE* const out_;
  std::FILE* const err_;
  const bool json_;
  JsonObject result_;
  Mutex events_;
  bool has_events_ = false;
  bool lost_ = false;
};

}  // namespace thaw
