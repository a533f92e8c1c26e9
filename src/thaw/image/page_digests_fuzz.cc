// SPDX-License-Identifier: Apache-2.0
//
// Page digests from an untrusted store, and a hostile plane inside an authentic envelope.
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/image/page_digests.h"
#include "thaw/image/sealed_object.h"
#include "thaw/testing/fixed_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace thaw;
  static const FixedKeys keys;
  const ByteSpan input = std::as_bytes(std::span(data, size));
  const ManifestId manifest;
  CHECK(!decode_page_digests(input, manifest, 3, keys));
  constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'P', 'D', 'I', 'G'}, 1, "set of page digests"};
  if (input.empty()) return 0;
  // The first byte says how long the clear plane is; what follows is it, then the sealed plane.
  const size_t clear = std::min<size_t>(std::to_integer<size_t>(input[0]), input.size() - 1);
  const Bytes envelope =
      *make_envelope(kKind, input.subspan(1, clear), input.subspan(1 + clear), keys);
  const Result<PageDigests> digests = decode_page_digests(envelope, manifest, 3, keys);
  if (digests) CHECK(digests->pages.size() == 3 && digests->manifest == manifest);
  return 0;
}
