// SPDX-License-Identifier: Apache-2.0
//
// Keyring: one tenant's master keys and domain secret in one file, DIR/TENANT.keyring, for the key
// provider `file`. The bytes are specified in FORMAT.md beside this file and parsed as hostile
// input. A keyring that others could read or exchange is refused: the file has mode 0600 and, like
// the directory, belongs to us or to root; nobody else may write to the directory. Secrets live
// only in SecretBytes.
//
// Each change is one step (temporary file, fsync, link or rename, fsync of the directory) under a
// lock file, so that writers in several processes lose no key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"
#include "thaw/crypto/secret.h"

namespace thaw {

/// Rotations without drop_retired() end here.
inline constexpr uint32_t kKeyringKeysMax = 1024;

/// What may be shown of a keyring.
struct KeyringInfo {
  std::string tenant;
  uint32_t active_id = 0;
  uint64_t created = 0;  // of the active key, seconds since 1970
  size_t keys = 0;       // the active one and the retired ones
};

/// One thread at a time; const members from many.
class Keyring {
 public:
  /// A new keyring with one master key and a random domain secret, durable on return. Makes the
  /// directory (mode 0700) if it is missing. kExists if the tenant has a keyring there: a keyring
  /// is never overwritten.
  static Result<Keyring> create(const std::string& directory, std::string_view tenant);
  /// kNotFound if the tenant has no keyring there; kDenied if others have access to it; kCorrupt or
  /// kUnsupported for bytes that are no keyring of this version.
  static Result<Keyring> load(const std::string& directory, std::string_view tenant);
  /// Every keyring of the directory, ascending by tenant. Fails as load() on the first bad one.
  static Result<std::vector<KeyringInfo>> list(const std::string& directory);

  /// A keyring from the bytes of its file, with no file behind it: not to be rotated.
  static Result<Keyring> parse(SecretBytes bytes);

  /// Adds a master key and makes it the active one; the older ones still unwrap. Takes in what
  /// other processes changed meanwhile. kExhausted at kKeyringKeysMax. On an error this object is
  /// as before.
  Result<void> rotate();
  /// Forgets the master keys that were retired when this object was loaded or last rotated, and
  /// returns how many: never a key that another process has retired since, because objects may not
  /// be rewrapped from it yet. What is still wrapped by a forgotten key is lost, so rewrap
  /// everything first, and let no process work on with a keyring it loaded before the rotation.
  Result<size_t> drop_retired();

  const std::string& tenant() const { return tenant_; }
  KeyringInfo info() const;
  uint32_t active_id() const { return active_id_; }
  /// kKeyBytes, for as long as this object is not changed; nullopt if it has no key of that id.
  std::optional<ByteSpan> key(uint32_t id) const;
  /// "1, 2, 7": the ids it has, for messages.
  std::string ids() const;
  Result<SecretBytes> domain_secret() const;

 private:
  struct Entry {
    uint32_t id = 0;
    uint64_t created = 0;
    size_t key_offset = 0;  // into bytes_
  };

  Keyring() = default;
  static Result<Keyring> read(int directory_fd, const std::string& directory,
                              std::string_view tenant);
  ByteSpan key_of(const Entry& entry) const;

  std::string directory_;
  std::string tenant_;
  uint32_t active_id_ = 0;
  std::vector<Entry> entries_;  // ascending by id, none empty
  Bytes wrapped_domain_secret_;
  SecretBytes bytes_;  // the whole file: the keys are read where they stand
};

}  // namespace thaw
