// SPDX-License-Identifier: Apache-2.0
//
// BareHandler: the least that serves a Firecracker guest over userfaultfd - one thread; poll, read,
// one UFFDIO_COPY of one page from a plain buffer. It is what a careful expert writes by hand, and
// so the baseline that `fault_ondemand_hit` is compared with; and it is right (it knows REMOVE), so
// the replay VMM is tested against it. System calls are made directly: thaw's own wrappers, which
// are compared with it, must not be part of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "thaw/base/bytes.h"
#include "thaw/base/result.h"

namespace thaw {

struct BareHandlerOptions {
  std::string socket_path;
  /// The memory image. Outlives the handler.
  ByteSpan image;
  int core = -1;  // its thread's; -1: anywhere
  /// The canary: reads REMOVE events and forgets them, so that it serves stale pages.
  bool forget_removes = false;
};

struct BareHandlerStats {
  uint64_t faults = 0;  // messages, those tried again included
  uint64_t write_faults = 0;
  uint64_t image_pages = 0;  // installed
  uint64_t zero_pages = 0;   // installed, because they had been removed
  uint64_t removes = 0;      // REMOVE events
  uint64_t tried_again = 0;  // EAGAIN: the address space was changing
  uint64_t present = 0;      // EEXIST
  uint64_t unmapped = 0;     // ENOENT
  std::string error;         // why it stopped serving before it was told to; empty if it did not
};

/// Serves one VMM: the first that connects.
class BareHandler {
 public:
  /// Listens on return, so a VMM may connect.
  static Result<std::unique_ptr<BareHandler>> start(const BareHandlerOptions& options);
  virtual ~BareHandler() = default;

  /// Stops its thread. What is still faulting stays frozen.
  virtual const BareHandlerStats& stop() = 0;
};

}  // namespace thaw
