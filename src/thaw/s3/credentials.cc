// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/credentials.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "thaw/base/name.h"
#include "thaw/base/units.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr size_t kKeyIdBytesMax = 256;
constexpr size_t kSecretBytesMax = 1024;
constexpr size_t kTokenBytesMax = 16 * kKiB;
constexpr uint64_t kFileBytesMax = kMiB;

/// A header's value without spaces: printable ASCII.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// The three settings of one section; views into the file's text.
struct Section {
  bool found = false;
  std::string_view access_key_id;
  std::string_view secret_access_key;
  std::string_view session_token;
};

Section find_section(std::string_view text, std::string_view profile) {
  Section section;
  bool inside = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      inside = line.back() == ']' && trimmed(line.substr(1, line.size() - 2)) == profile;
      section.found |= inside;
      continue;
    }
    const size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (name == "aws_access_key_id") section.access_key_id = value;
    if (name == "aws_secret_access_key") section.secret_access_key = value;
    if (name == "aws_session_token") section.session_token = value;
  }
  return section;
}

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

/// nullopt if the section holds no key; `looked` says where that was.
Result<std::optional<S3Credentials>> from_file(const std::string& path, const std::string& profile,
                                               std::string& looked) {
  Result<Bytes> file = read_file(path, kFileBytesMax);
  if (!file && file.error().code == ErrorCode::kNotFound) {
    looked += ", " + path + " (no such file)";
    return std::nullopt;
  }
  if (!file) {
    return fail(std::move(file).error().with_context("cannot read the S3 credentials"));
  }
  const Section section = find_section(as_text(*file), profile);
  const std::string place = "section [" + profile + "] of " + path;
  if (!section.found || (section.access_key_id.empty() && section.secret_access_key.empty())) {
    wipe(*file);
    looked += ", " + place + (section.found ? " (holds no key)" : " (no such section)");
    return std::nullopt;
  }
  Result<S3Credentials> credentials = S3Credentials::from_text(
      section.access_key_id, section.secret_access_key, section.session_token, place);
  wipe(*file);
  if (!credentials) return fail(std::move(credentials).error());
  return std::move(*credentials);
}

}  // namespace

Result<S3Credentials> S3Credentials::from_text(std::string_view access_key_id,
                                               std::string_view secret,
                                               std::string_view session_token, std::string source) {
  const auto bad = [&source](const char* part, const char* why) {
    return fail(ErrorCode::kInvalid, "the " + std::string(part) + " from " + source + " " + why);
  };
  if (access_key_id.empty()) return bad("S3 access key id", "is empty");
  if (secret.empty()) return bad("S3 secret access key", "is empty");
  // The id is a part of the signature's scope, where '/', ',' and '=' separate.
  if (!is_plain(access_key_id) || access_key_id.find_first_of("/,=") != std::string_view::npos) {
    return bad("S3 access key id", "holds characters that no key id has");
  }
  if (!is_plain(secret)) return bad("S3 secret access key", "holds spaces or control characters");
  if (!is_plain(session_token))
    return bad("S3 session token", "holds spaces or control characters");
  if (access_key_id.size() > kKeyIdBytesMax) return bad("S3 access key id", "is too long");
  if (secret.size() > kSecretBytesMax) return bad("S3 secret access key", "is too long");
  if (session_token.size() > kTokenBytesMax) return bad("S3 session token", "is too long");
  return S3Credentials{std::string(access_key_id), SecretBytes::copy_of(as_bytes(secret)),
                       SecretBytes::copy_of(as_bytes(session_token)), std::move(source)};
}

S3Credentials S3Credentials::clone() const {
  return {access_key_id, secret_access_key.clone(), session_token.clone(), source};
}

Result<S3Credentials> load_s3_credentials(const S3CredentialSources& sources) {
  const auto variable = [&sources](const char* name) {
    return sources.environment ? sources.environment(name) : process_environment(name);
  };
  if (!sources.access_key_id.empty() || !sources.secret_access_key.empty()) {
    return S3Credentials::from_text(sources.access_key_id, sources.secret_access_key,
                                    sources.session_token, "the configuration");
  }
  const std::optional<std::string> id = variable("AWS_ACCESS_KEY_ID");
  const std::optional<std::string> secret = variable("AWS_SECRET_ACCESS_KEY");
  if (id || secret) {
    return S3Credentials::from_text(id.value_or(""), secret.value_or(""),
                                    variable("AWS_SESSION_TOKEN").value_or(""),
                                    "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)");
  }
  std::string looked = "the configuration, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  const std::string profile = variable("AWS_PROFILE").value_or("default");
  std::optional<std::string> path = variable("AWS_SHARED_CREDENTIALS_FILE");
  if (!path) {
    if (const std::optional<std::string> home = variable("HOME")) {
      path = *home + "/.aws/credentials";
    } else {
      looked += ", no file (neither AWS_SHARED_CREDENTIALS_FILE nor HOME is set)";
    }
  }
  if (path) {
    ASSIGN_OR_RETURN(std::optional<S3Credentials> found, from_file(*path, profile, looked));
    if (found) return std::move(*found);
  }
  return fail(ErrorCode::kDenied, "there is no S3 key; looked at " + looked +
                                      "; set one of them to a key that may use the bucket");
}

}  // namespace thaw
