// SPDX-License-Identifier: Apache-2.0
//
// Config: thaw.toml, parsed here and nowhere else. What a file does not say has the module's
// default.
//
//   store = "dir:/var/lib/thaw"        [restore]                       [mount]
//   tenant = "default"                 memory_tier_bytes = "256MiB"    memory_tier_bytes = "256MiB"
//   keyring = "/etc/thaw/keys"         threads = 0                     threads = 8
//                                      prefault = "none"               allow_other = false
//   [freeze]                           fill = "auto"                   isolate_writers = false
//   chunk_size = "512KiB"              handshake_timeout_ms = 10000    name_timeout_s = 1.0
//   page_digests = false               strategy = "auto"
//                                      prefetch_lanes = 48
//   threads = 0                        fault_core = 2 (none: any)      readahead_kb = 1024
//                                      fetch_timeout_ms = 30000
//   [s3]                               restores_max = 0 (no limit)     [zone]
//   endpoint = "https://s3.example"    restore_settle_ms = 1000        nodes = ["cache1:11211"]
//   region = "us-east-1"                                               data_stripes = 4
//   addressing = "auto"                [local]                         parity_stripes = 1
//   ca_file = "/etc/thaw/ca.pem"       path = "/var/cache/thaw/chunks" get_timeout_ms = 100
//                                      size = "100GiB"                 threads = 1
//   [origin]                           slot_size = "512KiB"
//   requests_max = 64                  policy = "s3_fifo"
//   fault_reserve = 16                 verify = "checksum"
//
//   [record]
//   quiet_ms = 0 (off)
//   limit_pages = 16777216
//   limit_s = 60
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "thaw/base/result.h"
#include "thaw/freeze/snapshot_writer.h"
#include "thaw/mount/snapshot_mount.h"
#include "thaw/resume/page_server.h"
#include "thaw/resume/recorder.h"
#include "thaw/s3/s3_options.h"
#include "thaw/tier/stack.h"

namespace thaw {

/// A key for S3 that stands in the config; empty: it is looked for elsewhere (s3/credentials.h).
struct S3StaticKey {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;
};

/// A size is a number of bytes or a text such as "512KiB" (amount_text.h).
struct Config {
  std::optional<std::string> store;
  std::optional<std::string> tenant;
  std::optional<std::string> keyring;
  FreezeOptions freeze;       // chunk_bytes, threads, page_digests
  PageServerOptions restore;  // session.prefault, session.fill, handshake_timeout_ms
  WorkerOptions restore_workers;
  RecorderOptions record;
  MountOptions mount;
  TierOptions tiers;  // memory.bytes_max is the verb's own:
  uint64_t restore_memory_bytes = MemoryTierOptions().bytes_max;
  uint64_t mount_memory_bytes = MemoryTierOptions().bytes_max;
  S3Options s3;        // bucket and prefix come from the store's address
  S3StaticKey s3_key;  // of the file itself
};

inline constexpr uint64_t kConfigBytesMax = 1 << 20;
inline constexpr unsigned kConfigThreadsMax = 1024;
inline constexpr unsigned kConfigCoreMax = 8191;

/// kInvalid for bytes that are no TOML, an unknown key, a wrong type or a value out of range; the
/// message names `source`, the line and the key.
Result<Config> parse_config(std::string_view text, const std::string& source);
/// The file's config; kNotFound if there is none, kExhausted above kConfigBytesMax.
Result<Config> read_config(const std::string& path);

/// The words of the config and the command line; nullopt for any other.
std::optional<Prefault> parse_prefault(std::string_view word);
std::optional<Fill> parse_fill(std::string_view word);
/// "auto" gives the empty choice.
std::optional<std::optional<Strategy>> parse_strategy_choice(std::string_view word);
inline constexpr const char* kStrategyWords =
    "\"auto\", \"on-demand\", \"reap\", \"faasnap\", \"chunks\", \"hot\"";

}  // namespace thaw
