// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused or parsed to values within the limits, by every reader of an answer.
#include <cstddef>
#include <cstdint>

#include "thaw/base/check.h"
#include "thaw/s3/s3_answers.h"
#include "thaw/s3/server_time.h"
#include "thaw/s3/xml_scanner.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // SAFETY: std::byte may alias any object.
  const thaw::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);

  thaw::XmlScanner scanner(thaw::as_text(bytes));
  size_t events = 0;
  size_t text_bytes = 0;
  for (auto event = scanner.next();
       event != thaw::XmlScanner::Event::kDone && event != thaw::XmlScanner::Event::kError;
       event = scanner.next()) {
    CHECK(scanner.depth() <= thaw::kXmlDepthMax);
    // Each event has taken a byte at least; nothing expands but "<a/>" into two events.
    CHECK(++events <= 2 * size);
    if (event == thaw::XmlScanner::Event::kText) text_bytes += scanner.text().size();
  }
  CHECK(text_bytes <= size);

  if (const auto error = thaw::parse_error_answer(bytes)) {
    CHECK(!error->code.empty() && error->code.size() <= 1024);
    (void)thaw::parse_server_time(error->server_time);
  }
  if (const auto listing = thaw::parse_list_answer(bytes)) {
    CHECK(listing->truncated == !listing->next_token.empty());
    CHECK(listing->entries.size() <= size);
  } else {
    CHECK(!listing.error().message.empty());
  }
  if (const auto errors = thaw::parse_delete_answer(bytes)) CHECK(errors->size() <= size);
  (void)thaw::parse_server_time(std::string(thaw::as_text(bytes)));
  return 0;
}
