// SPDX-License-Identifier: Apache-2.0
//
// XmlScanner: reads the XML of S3's answers piece by piece. A strict subset: elements, text, the
// five entities and numeric ones, CDATA; attributes, comments and the declaration are skipped.
// A DOCTYPE is refused, so nothing ever expands. The bytes are hostile.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace thaw {

/// Elements inside each other; S3's answers need four.
inline constexpr size_t kXmlDepthMax = 32;

/// Borrows the text. Belongs to one thread. Linear in the text's size.
class XmlScanner {
 public:
  enum class Event {
    kBegin,  // name() is the element that begins
    kEnd,    // name() is the element that ends
    kText,   // text(), entities resolved; pieces may follow each other
    kDone,   // the root element has ended and nothing but space follows
    kError,  // not well-formed; stays so
  };

  explicit XmlScanner(std::string_view text) : rest_(text) {}

  Event next();
  /// Without a prefix ("s3:Key" is "Key"). Valid until the next call.
  std::string_view name() const { return name_; }
  const std::string& text() const { return text_; }
  /// Elements that have begun and not ended.
  size_t depth() const { return open_.size(); }

 private:
  Event error();
  Event markup();
  Event begin_element();
  Event end_element();
  bool skip_past(std::string_view mark);
  bool append_entity();
  std::string_view take_name();

  std::string_view rest_;
  std::vector<std::string_view> open_;  // full names
  std::string_view name_;
  std::string text_;
  bool root_seen_ = false;
  bool end_is_due_ = false;  // of an element that ended with "/>"
  bool failed_ = false;
};

}  // namespace thaw
