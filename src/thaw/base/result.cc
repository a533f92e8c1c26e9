// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/result.h"

#include <cerrno>
#include <system_error>

namespace thaw {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return "invalid";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kExists:
      return "exists";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kDenied:
      return "denied";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kExhausted:
      return "exhausted";
    case ErrorCode::kOverloaded:
      return "overloaded";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kGone:
      return "gone";
    case ErrorCode::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

Error errno_error(std::string what, int error_number) {
  const ErrorCode code = [error_number] {
    switch (error_number) {
      case ENOENT:
      case ENOTDIR:
        return ErrorCode::kNotFound;
      case EEXIST:
        return ErrorCode::kExists;
      case EACCES:
      case EPERM:
      case EROFS:
        return ErrorCode::kDenied;
      case ENOSPC:
      case EDQUOT:
      case ENOMEM:
      case EMFILE:
      case ENFILE:
      case EFBIG:
        return ErrorCode::kExhausted;
      case ENOSYS:
      case EOPNOTSUPP:
        return ErrorCode::kUnsupported;
      case ESRCH:
      case EPIPE:
      case ECONNRESET:
        return ErrorCode::kGone;
      case EINVAL:
      case ENAMETOOLONG:
      case EISDIR:
      case ELOOP:
        return ErrorCode::kInvalid;
      default:
        return ErrorCode::kUnavailable;
    }
  }();
  return Error{code, std::move(what) + ": " + std::generic_category().message(error_number)};
}

}  // namespace thaw
