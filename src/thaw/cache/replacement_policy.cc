// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/replacement_policy.h"

#include <string>

#include "thaw/base/check.h"
#include "thaw/cache/lru_k_policy.h"
#include "thaw/cache/lru_policy.h"
#include "thaw/cache/s3_fifo_policy.h"

namespace thaw {

const char* to_string(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kLru:
      return "lru";
    case PolicyKind::kLruK:
      return "lru_k";
    case PolicyKind::kS3Fifo:
      return "s3_fifo";
  }
  return "unknown";
}

Result<PolicyKind> parse_policy(std::string_view text) {
  for (const PolicyKind kind : {PolicyKind::kLru, PolicyKind::kLruK, PolicyKind::kS3Fifo}) {
    if (text == to_string(kind)) return kind;
  }
  return fail(ErrorCode::kInvalid, "there is no replacement policy \"" + std::string(text) +
                                       "\"; choose lru, lru_k or s3_fifo");
}

std::unique_ptr<ReplacementPolicy> make_policy(PolicyKind kind, uint32_t capacity_slots) {
  switch (kind) {
    case PolicyKind::kLru:
      return std::make_unique<LruPolicy>(capacity_slots);
    case PolicyKind::kLruK:
      return std::make_unique<LruKPolicy>(capacity_slots, LruKPolicy::Options{});
    case PolicyKind::kS3Fifo:
      return std::make_unique<S3FifoPolicy>(capacity_slots);
  }
  CHECK(false);
  return nullptr;
}

}  // namespace thaw
