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
  // The first byte says how many pack chunks the clear plane has; the rest is the sealed plane.
  if (input.empty()) return 0;
  const uint64_t chunks = std::to_integer<uint64_t>(input[0]) % 4;
  Bytes clear;
  ByteWriter writer(clear);
  writer.put_bytes(manifest.digest);
  writer.put(chunks);
  for (uint32_t i = 0; i < chunks; ++i) {
    writer.put_bytes(manifest.digest);
    writer.put(i + 1);
  }
  const Bytes envelope = *make_envelope(kKind, clear, input.subspan(1), keys);
  const Result<WorkingSet> set = decode_working_set(envelope, manifest, 1000, keys);
  if (!set) return 0;
  // What is accepted can be used.
  for (const WorkingPage& page : merge_recordings(set->recordings, 0)) CHECK(page.page < 1000);
  for (const Pack& pack : set->packs) {
    for (const Extent& extent : pack.extents) {
      CHECK(extent.end() <= 1000 && extent.chunk < pack.chunks.size());
      CHECK(extent.slot + extent.count <= pack.chunks[extent.chunk].pages);
      CHECK(pack.chunk_key(extent.chunk).size() == kKeyBytes);
    }
  }
  return 0;
}
