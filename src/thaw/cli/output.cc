// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/output.h"

#include <unistd.h>

#include "thaw/base/bytes.h"

namespace thaw {
namespace {

void append_escaped(std::string& out, unsigned char byte) {
  constexpr char kDigits[] = "0123456789abcdef";
  out += "\\x";
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

}  // namespace

std::string printable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are the control characters of Latin-1: c2 80 to c2 9f.
    const bool control = utf8 && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (control) {
      append_escaped(out, byte);
      append_escaped(out, static_cast<unsigned char>(text[++i]));
    } else if ((byte < 0x20 && byte != '\n') || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      append_escaped(out, byte);
    } else {
      out += text[i];
    }
  }
  return out;
}

bool Output::has_progress_bar() const { return !json_ && ::isatty(::fileno(err_)) == 1; }

void Output::put(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), out_) != text.size()) lost_ = true;
}

void Output::say(std::string_view text) {
  if (!json_) put(printable(text));
}

void Output::note(std::string_view text) {
  std::fprintf(err_, "thaw: %s\n", printable(text).c_str());
}

void Output::event(const JsonObject& event, std::string_view text) {
  const MutexLock lock(events_);
  has_events_ = true;
  const bool lost_before = lost_;
  put((json_ ? event.text() : printable(text)) + "\n");
  if (std::fflush(out_) != 0) lost_ = true;
  if (lost_ && !lost_before) note("nobody reads standard output any more; serving goes on");
}

Result<void> Output::finish(const Error* error) {
  if (error != nullptr) {
    note(error->message);
    JsonObject about;
    about.set("code", to_string(error->code)).set("message", printable(error->message));
    result_.set("error", about);
  }
  if (json_ && (error != nullptr || !has_events_)) put(result_.text() + "\n");
  if (std::fflush(out_) != 0) lost_ = true;
  if (lost_ && !has_events_) {
    return fail(ErrorCode::kUnavailable, "standard output did not take everything");
  }
  return {};
}

}  // namespace thaw
