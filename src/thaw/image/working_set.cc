// SPDX-License-Identifier: Apache-2.0
#include "thaw/image/working_set.h"

#include <algorithm>

#include "thaw/base/check.h"
#include "thaw/image/sealed_object.h"

namespace thaw {
namespace {

constexpr ObjectKind kKind{{'T', 'H', 'A', 'W', 'W', 'S', 'E', 'T'}, 1, "working set"};

const char* fault_of(const WorkingSet& set, uint64_t page_count) {
  uint64_t free_from = 0;
  for (const WorkingSetRun& run : set.runs) {
    if (run.count == 0) return "a run is empty";
    if (run.page < free_from) return "a run overlaps or precedes the one before it";
    if (uint64_t{run.page} + run.count > page_count) return "a run goes past the end of the memory";
    if (run.seen == 0 || run.seen > set.recordings) return "a run was seen impossibly often";
    free_from = uint64_t{run.page} + run.count;
  }
  return nullptr;
}

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(ErrorCode::kInvalid, "not a valid working set: " + why);
}

}  // namespace

Result<Bytes> encode_working_set(const WorkingSet& set, const KeyProvider& keys) {
  CHECK(fault_of(set, kImagePagesMax) == nullptr);
  Bytes secret;
  ByteWriter writer(secret);
  writer.put(set.recordings);
  writer.put(uint64_t{set.runs.size()});
  writer.put_bytes(std::as_bytes(std::span(set.runs)));
  return make_envelope(kKind, set.manifest.digest, secret, keys);
}

Result<WorkingSet> decode_working_set(ByteSpan bytes, const ManifestId& manifest,
                                      uint64_t page_count, const KeyProvider& keys) {
  ASSIGN_OR_RETURN(const EnvelopeView view, parse_envelope(kKind, bytes));
  if (!std::ranges::equal(view.clear, manifest.digest)) {
    return malformed("it belongs to another manifest than " + manifest.hex());
  }
  ASSIGN_OR_RETURN(const SecretBytes secret, open_envelope(kKind, view, keys));
  ByteReader reader(secret.span());
  WorkingSet set;
  set.manifest = manifest;
  set.recordings = reader.get<uint32_t>();
  const uint64_t count = reader.get<uint64_t>();
  if (!reader.ok() || reader.remaining() % sizeof(WorkingSetRun) != 0 ||
      count != reader.remaining() / sizeof(WorkingSetRun)) {
    return malformed("its runs do not have the size of their count");
  }
  set.runs.resize(static_cast<size_t>(count));
  const ByteSpan raw = reader.get_bytes(reader.remaining());
  // SAFETY: WorkingSetRun is four unsigned integers without padding, in the byte order of the
  // format.
  if (!raw.empty()) std::memcpy(set.runs.data(), raw.data(), raw.size());
  if (const char* fault = fault_of(set, page_count)) return malformed(fault);
  return set;
}

}  // namespace thaw
