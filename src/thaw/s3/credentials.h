// SPDX-License-Identifier: Apache-2.0
//
// S3Credentials: who signs, and where that is found. The key's id is public; the secret and the
// session token live in SecretBytes and never appear in a message.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "thaw/base/result.h"
#include "thaw/crypto/secret.h"

namespace thaw {

struct S3Credentials {
  std::string access_key_id;
  SecretBytes secret_access_key;
  SecretBytes session_token;  // empty: none
  std::string source;         // "the environment", for messages

  /// kInvalid if a part is empty, too long or holds what no header can carry.
  static Result<S3Credentials> from_text(std::string_view access_key_id, std::string_view secret,
                                         std::string_view session_token, std::string source);
  S3Credentials clone() const;
};

/// What load_s3_credentials() looks at. Replaceable, so that tests need no environment.
struct S3CredentialSources {
  /// The configured key; both empty: none is.
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
  /// nullopt: the variable is not set. Reads the process's environment by default.
  std::function<std::optional<std::string>(const char* name)> environment;
};

/// The first of: the configured key; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set,
/// AWS_SESSION_TOKEN; the section AWS_PROFILE (or "default") of AWS_SHARED_CREDENTIALS_FILE (or
/// ~/.aws/credentials). Half a key is kInvalid, none kDenied and says where it was looked for.
Result<S3Credentials> load_s3_credentials(const S3CredentialSources& sources);

}  // namespace thaw
