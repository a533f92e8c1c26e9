// SPDX-License-Identifier: Apache-2.0
//
// A manifest from an untrusted store: the envelope and the clear plane as they come, then the same
// bytes as the planes of an authentic envelope, so that the fuzzer gets past the cryptography.
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/image/manifest.h"
#include "thaw/image/sealed_object.h"
#include "thaw/testing/fixed_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  static const FixedKeys keys;
  static const FixedKeys stranger("stranger");  // the corpus holds manifests that `keys` opens
  const ByteSpan input = std::as_bytes(std::span(data, size));
  CHECK(!decode_manifest(input, stranger));
  static_cast<void>(decode_manifest_clear(input));
  if (input.size() < 2) return 0;

  constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'M', 'A', 'N', 'I'}, 1, "manifest"};
  const size_t clear_bytes = std::to_integer<size_t>(input[0]) % input.size();
  const Bytes envelope = *make_envelope(kKind, input.subspan(1, std::min(clear_bytes, size - 1)),
                                        input.subspan(std::min(clear_bytes + 1, size)), keys);
  const Result<Manifest> manifest = decode_manifest(envelope, keys);
  if (!manifest) return 0;
  // What is accepted can be used: hot chunks exist, hot zero runs are zero, and every page has a
  // place inside its chunk.
  CHECK(uint64_t{manifest->hot.chunks} + manifest->hot.skirt_chunks <=
        manifest->clear.chunks.size());
  for (const PageRun& run : manifest->hot.zero_runs) {
    const PageLocation location = manifest->find(ImageKind::kMemory)->map.locate(run.page);
    CHECK(location.zero && location.count >= run.count);
  }
  for (const Image& image : manifest->images) {
    image.map.for_each_run(0, image.map.page_count(), [&](uint64_t, const PageLocation& run) {
      if (run.zero) return;
      CHECK(run.chunk < manifest->clear.chunks.size());
      CHECK(run.slot + run.count <= manifest->clear.chunks[run.chunk].pages);
      CHECK(manifest->chunk_key(run.chunk).size() == kKeyBytes);
    });
  }
  return 0;
}
