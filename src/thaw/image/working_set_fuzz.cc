// SPDX-License-Identifier: Apache-2.0
//
// A working set from an untrusted store, and hostile runs inside an authentic envelope.
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/image/sealed_object.h"
#include "thaw/image/working_set.h"
#include "thaw/testing/fixed_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  static const FixedKeys keys;
  const ByteSpan input = std::as_bytes(std::span(data, size));
  const ManifestId manifest;
  CHECK(!decode_working_set(input, manifest, 1000, keys));
  constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'W', 'S', 'E', 'T'}, 1, "working set"};
  const Bytes envelope = *make_envelope(kKind, manifest.digest, input, keys);
  const Result<WorkingSet> set = decode_working_set(envelope, manifest, 1000, keys);
  if (!set) return 0;
  for (const WorkingSetRun& run : set->runs) CHECK(uint64_t{run.page} + run.count <= 1000);
  return 0;
}
