// SPDX-License-Identifier: Apache-2.0
#include "thaw/crypto/keyring.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include "thaw/base/check.h"
#include "thaw/base/name.h"
#include "thaw/crypto/cipher.h"
#include "thaw/crypto/digest.h"
#include "thaw/crypto/wrapped_key.h"
#include "thaw/sys/fd.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr std::string_view kMagic = "thawkeys";
constexpr uint32_t kVersion = 1;
constexpr size_t kEntryBytes = sizeof(uint32_t) + sizeof(uint64_t) + kKeyBytes;
constexpr size_t kFixedBytes = 8 + 4 + 2 + 4 + 4 + kWrappedKeyBytes + kDigestBytes;
constexpr size_t kKeyringBytesMax = kFixedBytes + kNameBytesMax + kKeyringKeysMax * kEntryBytes;
constexpr std::string_view kSuffix = ".keyring";
constexpr std::string_view kDomainContext = "thaw domain secret v1";
constexpr size_t kDomainSecretBytes = 32;
static_assert(kDomainSecretBytes == kKeyBytes, "it is wrapped as a data key is");

struct NewEntry {
  uint32_t id;
  uint64_t created;
  ByteSpan key;
};

/// Writes into memory that is wiped later; a growing vector would leave copies behind.
class SecretWriter {
 public:
  explicit SecretWriter(MutableByteSpan out) : out_(out) {}
  template <typename T>
  void put(T value) {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(ByteSpan bytes) {
    CHECK(bytes.size() <= out_.size());
    std::memcpy(out_.data(), bytes.data(), bytes.size());
    out_ = out_.subspan(bytes.size());
  }
  bool full() const { return out_.empty(); }

 private:
  MutableByteSpan out_;
};

SecretBytes encode(std::string_view tenant, uint32_t active_id,
                   const std::vector<NewEntry>& entries, const SecretBytes& domain_secret) {
  SecretBytes bytes(kFixedBytes + tenant.size() + entries.size() * kEntryBytes);
  SecretWriter writer(bytes.span());
  writer.put_bytes(as_bytes(kMagic));
  writer.put(kVersion);
  writer.put(static_cast<uint16_t>(tenant.size()));
  writer.put_bytes(as_bytes(tenant));
  writer.put(active_id);
  writer.put(static_cast<uint32_t>(entries.size()));
  ByteSpan active_key;
  for (const NewEntry& entry : entries) {
    writer.put(entry.id);
    writer.put(entry.created);
    writer.put_bytes(entry.key);
    if (entry.id == active_id) active_key = entry.key;
  }
  writer.put_bytes(
      wrap_data_key(tenant, active_id, active_key, as_bytes(kDomainContext), domain_secret.span()));
  writer.put_bytes(sha256(bytes.span().first(bytes.size() - kDigestBytes)));
  CHECK(writer.full());
  return bytes;
}

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kCorrupt, "not a valid keyring: " + why + "; restore it from a backup");
}

std::string file_name(std::string_view tenant) {
  return std::string(tenant) + std::string(kSuffix);
}

Result<void> check_tenant(std::string_view tenant) {
  if (!is_name(tenant)) {
    return fail(ErrorCode::kInvalid,
                quote(tenant) + " cannot be the name of a tenant: " + std::string(kNameRule));
  }
  return {};
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

Result<void> check_owner(const struct stat& status, const std::string& path) {
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return fail(ErrorCode::kDenied, path + " belongs to user " + std::to_string(status.st_uid) +
                                        ", neither to us nor to root; chown it");
  }
  return {};
}

Result<Fd> open_directory(const std::string& directory) {
  ASSIGN_OR_RETURN(Fd fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("cannot stat " + directory, errno);
  TRY(check_owner(status, "the keyring directory " + directory));
  if ((status.st_mode & 022) != 0) {
    return fail(ErrorCode::kDenied, "others may write to the keyring directory " + directory +
                                        " (mode " + octal(status.st_mode) +
                                        ") and so exchange its keys; chmod 700 it");
  }
  return fd;
}

/// Keeps other writers of the tenant's keyring out until it is closed. The lock file stays:
/// removing it would let two writers hold two locks.
Result<Fd> lock_keyring(int directory_fd, const std::string& directory, std::string_view tenant) {
  const std::string name = "." + std::string(tenant) + ".lock";
  Fd fd(::openat(directory_fd, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("cannot open the lock file " + directory + "/" + name, errno);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno("cannot lock " + directory + "/" + name, errno);
  }
  return fd;
}

/// How a new keyring takes its name.
enum class Publish { kNewOnly, kReplace };

/// The caller holds the lock.
Result<void> write_keyring(int directory_fd, const std::string& directory, std::string_view tenant,
                           const SecretBytes& bytes, Publish publish) {
  const std::string final_name = file_name(tenant);
  const std::string temporary = "." + final_name + ".tmp";
  const std::string path = directory + "/" + final_name;
  const auto write_and_name = [&]() -> Result<void> {
    const Fd fd(::openat(directory_fd, temporary.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return fail_errno("cannot make a temporary file for " + path, errno);
    TRY(write_all(fd.get(), bytes.span(), path));
    if (::fsync(fd.get()) != 0) return fail_errno("cannot sync " + path, errno);
    if (publish == Publish::kReplace) {
      if (::renameat(directory_fd, temporary.c_str(), directory_fd, final_name.c_str()) != 0) {
        return fail_errno("cannot replace " + path, errno);
      }
      return {};
    }
    if (::linkat(directory_fd, temporary.c_str(), directory_fd, final_name.c_str(), 0) != 0) {
      if (errno == EEXIST) {
        return fail(ErrorCode::kExists, "tenant " + quote(tenant) + " has a keyring already: " +
                                            path + "; rotate it, or choose another tenant");
      }
      return fail_errno("cannot make " + path, errno);
    }
    return {};
  };
  // Under the lock a temporary file can only be what a killed writer left.
  ::unlinkat(directory_fd, temporary.c_str(), 0);
  Result<void> written = write_and_name();
  ::unlinkat(directory_fd, temporary.c_str(), 0);  // gone already after a rename
  TRY(written);
  if (::fsync(directory_fd) != 0) return fail_errno("cannot sync " + directory, errno);
  return {};
}

uint64_t now_seconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

}  // namespace

Result<Keyring> Keyring::create(const std::string& directory, std::string_view tenant) {
  TRY(check_tenant(tenant));
  TRY(make_directories(directory, 0700));
  ASSIGN_OR_RETURN(const Fd directory_fd, open_directory(directory));
  ASSIGN_OR_RETURN(const Fd lock, lock_keyring(directory_fd.get(), directory, tenant));
  const SecretBytes key = SecretBytes::random(kKeyBytes);
  const SecretBytes domain_secret = SecretBytes::random(kDomainSecretBytes);
  SecretBytes bytes = encode(tenant, 1, {{1, now_seconds(), key.span()}}, domain_secret);
  TRY(write_keyring(directory_fd.get(), directory, tenant, bytes, Publish::kNewOnly));
  TRY(sync_directory(directory + "/.."));  // the directory itself may be new
  ASSIGN_OR_RETURN(Keyring keyring, parse(std::move(bytes)));
  keyring.directory_ = directory;
  return keyring;
}

Result<Keyring> Keyring::load(const std::string& directory, std::string_view tenant) {
  TRY(check_tenant(tenant));
  ASSIGN_OR_RETURN(const Fd directory_fd, open_directory(directory));
  return read(directory_fd.get(), directory, tenant);
}

Result<Keyring> Keyring::read(int directory_fd, const std::string& directory,
                              std::string_view tenant) {
  const std::string name = file_name(tenant);
  const std::string path = directory + "/" + name;
  // O_NONBLOCK: a FIFO under that name must not hang us.
  const Fd fd(::openat(directory_fd, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return fail(ErrorCode::kNotFound, "tenant " + quote(tenant) + " has no keyring in " +
                                          directory +
                                          "; make one, or give the directory that holds it");
  }
  if (!fd) return fail_errno("cannot open the keyring " + path, errno);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail_errno("cannot stat " + path, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kInvalid, path + " is not a plain file");
  TRY(check_owner(status, "the keyring " + path));
  if ((status.st_mode & 077) != 0) {
    return fail(ErrorCode::kDenied, "others have access to the keyring " + path + " (mode " +
                                        octal(status.st_mode) +
                                        "); chmod 600 it, and rotate if they may have read it");
  }
  if (status.st_size < 0 || static_cast<uint64_t>(status.st_size) > kKeyringBytesMax) {
    return fail(ErrorCode::kCorrupt,
                path + " is not a keyring: it has " + std::to_string(status.st_size) +
                    " bytes, and the largest has " + std::to_string(kKeyringBytesMax));
  }
  SecretBytes bytes(static_cast<size_t>(status.st_size));
  TRY(read_exact_at(fd.get(), 0, bytes.span(), path));
  Result<Keyring> keyring = parse(std::move(bytes));
  if (!keyring) return fail(std::move(keyring).error().with_context(path));
  if (keyring->tenant_ != tenant) {
    return fail(ErrorCode::kCorrupt, path + " holds the keys of tenant " + quote(keyring->tenant_) +
                                         "; give each keyring the name of its tenant");
  }
  keyring->directory_ = directory;
  return keyring;
}

Result<std::vector<KeyringInfo>> Keyring::list(const std::string& directory) {
  ASSIGN_OR_RETURN(const Fd directory_fd, open_directory(directory));
  ASSIGN_OR_RETURN(Fd listing_fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(listing_fd.get()), ::closedir);
  if (listing == nullptr) return fail_errno("cannot list " + directory, errno);
  listing_fd.release();  // closedir() closes it
  std::vector<std::string> tenants;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with('.') || !name.ends_with(kSuffix)) continue;
    tenants.emplace_back(name.substr(0, name.size() - kSuffix.size()));
  }
  std::sort(tenants.begin(), tenants.end());
  std::vector<KeyringInfo> infos;
  for (const std::string& tenant : tenants) {
    TRY(check_tenant(tenant));
    ASSIGN_OR_RETURN(const Keyring keyring, read(directory_fd.get(), directory, tenant));
    infos.push_back(keyring.info());
  }
  return infos;
}

Result<Keyring> Keyring::parse(SecretBytes bytes) {
  ByteReader reader(bytes.span());
  if (as_text(reader.get_bytes(kMagic.size())) != kMagic) {
    return malformed("it does not begin with the magic of one");
  }
  const auto version = reader.get<uint32_t>();
  if (!reader.ok()) return malformed("it ends early");
  if (version != kVersion) {
    return fail(ErrorCode::kUnsupported,
                "keyring has format version " + std::to_string(version) +
                    "; this thaw reads version 1; use the thaw that wrote it, or a newer one");
  }
  // The checksum finds accidents before the fields mislead us; it stops nobody who can write here.
  if (bytes.size() < kFixedBytes) return malformed("it ends early");
  const ByteSpan covered = ByteSpan(bytes.span()).first(bytes.size() - kDigestBytes);
  const Digest digest = sha256(covered);
  if (!std::equal(digest.begin(), digest.end(), bytes.data() + covered.size())) {
    return malformed("its checksum does not match");
  }

  Keyring keyring;
  keyring.tenant_ = reader.get_text<uint16_t>();
  keyring.active_id_ = reader.get<uint32_t>();
  const auto count = reader.get<uint32_t>();
  if (!reader.ok() || !is_name(keyring.tenant_)) return malformed("its tenant's name is not one");
  if (count == 0 || count > kKeyringKeysMax) {
    return malformed("it says it has " + std::to_string(count) + " keys");
  }
  for (uint32_t i = 0; i < count; ++i) {
    Entry entry;
    entry.id = reader.get<uint32_t>();
    entry.created = reader.get<uint64_t>();
    entry.key_offset = reader.position();
    reader.get_bytes(kKeyBytes);
    if (!reader.ok()) return malformed("it ends early");
    if (entry.id <= (keyring.entries_.empty() ? 0 : keyring.entries_.back().id)) {
      return malformed("its key ids do not ascend");
    }
    keyring.entries_.push_back(entry);
  }
  const ByteSpan wrapped = reader.get_bytes(kWrappedKeyBytes);
  reader.get_bytes(kDigestBytes);
  if (!reader.at_end()) return malformed("its fields do not add up to its size");
  keyring.wrapped_domain_secret_.assign(wrapped.begin(), wrapped.end());
  keyring.bytes_ = std::move(bytes);
  if (!keyring.key(keyring.active_id_)) {
    return malformed("its active key " + std::to_string(keyring.active_id_) + " is not in it");
  }
  const Result<SecretBytes> secret = keyring.domain_secret();
  if (!secret) return malformed(secret.error().message);
  return keyring;
}

Result<void> Keyring::rotate() {
  CHECK(!directory_.empty());
  ASSIGN_OR_RETURN(const Fd directory_fd, open_directory(directory_));
  ASSIGN_OR_RETURN(const Fd lock, lock_keyring(directory_fd.get(), directory_, tenant_));
  ASSIGN_OR_RETURN(const Keyring current, read(directory_fd.get(), directory_, tenant_));
  const uint32_t last_id = current.entries_.back().id;
  if (current.entries_.size() >= kKeyringKeysMax || last_id == UINT32_MAX) {
    return fail(ErrorCode::kExhausted,
                "the keyring of tenant " + quote(tenant_) + " has " +
                    std::to_string(current.entries_.size()) + " keys, its last with the id " +
                    std::to_string(last_id) + "; rewrap and drop the retired ones first");
  }
  const SecretBytes key = SecretBytes::random(kKeyBytes);
  std::vector<NewEntry> entries;
  for (const Entry& entry : current.entries_) {
    entries.push_back({entry.id, entry.created, current.key_of(entry)});
  }
  entries.push_back({last_id + 1, now_seconds(), key.span()});
  ASSIGN_OR_RETURN(const SecretBytes domain_secret, current.domain_secret());
  SecretBytes bytes = encode(tenant_, last_id + 1, entries, domain_secret);
  TRY(write_keyring(directory_fd.get(), directory_, tenant_, bytes, Publish::kReplace));
  ASSIGN_OR_RETURN(Keyring rotated, parse(std::move(bytes)));
  rotated.directory_ = directory_;
  *this = std::move(rotated);
  return {};
}

Result<size_t> Keyring::drop_retired() {
  CHECK(!directory_.empty());
  ASSIGN_OR_RETURN(const Fd directory_fd, open_directory(directory_));
  ASSIGN_OR_RETURN(const Fd lock, lock_keyring(directory_fd.get(), directory_, tenant_));
  ASSIGN_OR_RETURN(Keyring current, read(directory_fd.get(), directory_, tenant_));
  std::vector<NewEntry> entries;
  for (const Entry& entry : current.entries_) {
    // Ids only grow: what lies below our active key was retired when we took that key in.
    if (entry.id >= active_id_ || entry.id == current.active_id_) {
      entries.push_back({entry.id, entry.created, current.key_of(entry)});
    }
  }
  const size_t dropped = current.entries_.size() - entries.size();
  if (dropped == 0) {
    *this = std::move(current);
    return dropped;
  }
  ASSIGN_OR_RETURN(const SecretBytes domain_secret, current.domain_secret());
  SecretBytes bytes = encode(tenant_, current.active_id_, entries, domain_secret);
  TRY(write_keyring(directory_fd.get(), directory_, tenant_, bytes, Publish::kReplace));
  ASSIGN_OR_RETURN(Keyring remaining, parse(std::move(bytes)));
  remaining.directory_ = directory_;
  *this = std::move(remaining);
  return dropped;
}

KeyringInfo Keyring::info() const {
  KeyringInfo info{tenant_, active_id_, 0, entries_.size()};
  for (const Entry& entry : entries_) {
    if (entry.id == active_id_) info.created = entry.created;
  }
  return info;
}

ByteSpan Keyring::key_of(const Entry& entry) const {
  return bytes_.span().subspan(entry.key_offset, kKeyBytes);
}

std::optional<ByteSpan> Keyring::key(uint32_t id) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), id,
                       [](const Entry& entry, uint32_t wanted) { return entry.id < wanted; });
  if (found == entries_.end() || found->id != id) return std::nullopt;
  return key_of(*found);
}

std::string Keyring::ids() const {
  std::string text;
  for (const Entry& entry : entries_) {
    if (!text.empty()) text += ", ";
    text += std::to_string(entry.id);
  }
  return text;
}

Result<SecretBytes> Keyring::domain_secret() const {
  ASSIGN_OR_RETURN(const uint32_t id, wrapped_key_id(wrapped_domain_secret_));
  if (id != active_id_) {
    return fail(ErrorCode::kCorrupt, "the domain secret is not wrapped by the active key");
  }
  return unwrap_data_key(tenant_, *key(id), as_bytes(kDomainContext), wrapped_domain_secret_);
}

}  // namespace thaw
