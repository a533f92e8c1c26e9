// SPDX-License-Identifier: Apache-2.0
//
// The process's log: one line an event, on stderr, written where a decision is taken and nowhere
// else. A facade over spdlog, whose headers cost seconds a file to compile, so only log.cc sees
// them. Secrets never pass through here: SecretBytes has no conversion to text.
#pragma once

#include <string_view>

namespace thaw {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

/// The least level that is written; kWarning at start. Thread-safe.
void set_log_level(LogLevel level);
/// Thread-safe. Cheap enough for events, not for pages: never called on a hit path.
void log(LogLevel level, std::string_view message);

inline void log_debug(std::string_view message) { log(LogLevel::kDebug, message); }
inline void log_info(std::string_view message) { log(LogLevel::kInfo, message); }
inline void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
inline void log_error(std::string_view message) { log(LogLevel::kError, message); }

}  // namespace thaw
