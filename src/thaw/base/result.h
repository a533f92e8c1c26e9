// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: the value, or an Error that says what failed, on what, why, and what to do.
// thaw code does not throw. A miss is a value, an operational failure is an Error, a bug aborts
// (base/check.h). Each code stands for one action of the caller, so callers switch on the code and
// people read the message.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace thaw {

enum class ErrorCode {
  kInvalid,      // the input is wrong: fail the request, the user has to change it
  kNotFound,     // no such object: try the next tier, then fail the request
  kExists,       // the name is taken: fail the request or take the existing one
  kCorrupt,      // the bytes are not what their name promises: drop, refetch, then fail closed
  kDenied,       // permission or key is wrong: fail the request
  kUnavailable,  // the medium fails: retry, then try the next tier
  kExhausted,    // disk, memory or a named limit is full: fail the request, free room
  kOverloaded,   // too much is under way: nothing was begun, ask another worker or later
  kUnsupported,  // a version, feature or kernel facility is missing: fail the request
  kGone,         // the peer (VMM, client) has left: end its session
  kInterrupted,  // stopped on purpose (signal, shutdown): unwind
};

/// The code's name as it appears in --json output: "invalid", "not_found", ...
const char* to_string(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code;
  std::string message;

  /// The same failure, seen from one level up: "while opening x: <message>".
  Error with_context(std::string context) && {
    message = std::move(context) + ": " + message;
    return std::move(*this);
  }
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

/// An Error from errno: "<what>: No space left on device". The code follows the errno
/// (ENOENT -> kNotFound, ENOSPC and EDQUOT -> kExhausted, EACCES -> kDenied, ...).
Error errno_error(std::string what, int error_number);
inline tl::unexpected<Error> fail_errno(std::string what, int error_number) {
  return tl::unexpected<Error>(errno_error(std::move(what), error_number));
}

}  // namespace thaw

#define THAW_CONCAT_INNER(a, b) a##b
#define THAW_CONCAT(a, b) THAW_CONCAT_INNER(a, b)

/// TRY(expression): returns the error from the enclosing function, drops the value.
#define TRY(expression)                                                  \
  do {                                                                   \
    auto&& try_result = (expression);                                    \
    if (!try_result) return ::thaw::fail(std::move(try_result).error()); \
  } while (false)

/// ASSIGN_OR_RETURN(auto x, expression): binds the value or returns the error.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(THAW_CONCAT(try_result_, __COUNTER__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(temporary, declaration, expression)   \
  auto temporary = (expression);                                     \
  if (!temporary) return ::thaw::fail(std::move(temporary).error()); \
  declaration = std::move(*temporary)
