// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused with a message or parsed to a shape whose runs are in order and inside the
// image, and whose text is the input.
#include <cstddef>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/image/page_shape.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: char may alias any object.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto shape = thaw::parse_page_shape(text);
  if (!shape) {
    CHECK(!shape.error().message.empty());
    return 0;
  }
  CHECK(shape->data_pages() <= shape->page_count);
  CHECK(thaw::format_page_shape(*shape) == text);
  return 0;
}
