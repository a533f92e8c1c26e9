// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/s3_answers.h"

#include <charconv>
#include <utility>

#include "thaw/s3/uri_encoding.h"
#include "thaw/s3/xml_scanner.h"

namespace thaw {
namespace {

/// Longer values are of no use to anybody; what is longer is cut.
constexpr size_t kErrorFieldBytesMax = 1024;

/// One element that holds no other: where it stands and its text.
struct Leaf {
  std::string_view root;
  std::string_view parent;  // the element around it; empty if that is the root
  std::string_view name;
  const std::string& text;
};

enum class Seen { kLeaf, kParentBegin, kParentEnd };

/// Calls visit(Seen, Leaf) for each leaf of the root and of the root's children, and for the begin
/// and end of the children that hold others. Deeper ones are skipped. False if the XML is not
/// well-formed or visit returned false.
template <typename Visit>
bool walk(ByteSpan body, const Visit& visit) {
  XmlScanner scanner(as_text(body));
  std::string path[3];  // names of the open elements at depth 1, 2, 3
  std::string text;
  bool leaf = false;              // the innermost open element holds no other so far
  bool parent_announced = false;  // of the child of the root that is open
  while (true) {
    switch (scanner.next()) {
      case XmlScanner::Event::kBegin: {
        const size_t depth = scanner.depth();
        if (depth <= 3) path[depth - 1] = std::string(scanner.name());
        if (depth == 3 && !parent_announced) {
          parent_announced = true;
          if (!visit(Seen::kParentBegin, Leaf{path[0], {}, path[1], text})) return false;
        }
        text.clear();
        leaf = true;
        break;
      }
      case XmlScanner::Event::kText:
        text += scanner.text();
        break;
      case XmlScanner::Event::kEnd: {
        const size_t depth = scanner.depth();  // of what is around
        if (leaf && depth == 0) {
          if (!visit(Seen::kLeaf, Leaf{path[0], {}, {}, text})) return false;
        } else if (leaf && depth == 1) {
          if (!visit(Seen::kLeaf, Leaf{path[0], {}, path[1], text})) return false;
        } else if (leaf && depth == 2) {
          if (!visit(Seen::kLeaf, Leaf{path[0], path[1], path[2], text})) return false;
        } else if (depth == 1 && parent_announced) {
          if (!visit(Seen::kParentEnd, Leaf{path[0], {}, path[1], text})) return false;
        }
        if (depth == 1) parent_announced = false;
        text.clear();
        leaf = false;
        break;
      }
      case XmlScanner::Event::kDone:
        return true;
      case XmlScanner::Event::kError:
        return false;
    }
  }
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string cut(const std::string& text) { return text.substr(0, kErrorFieldBytesMax); }

/// A listing under construction.
struct ListParse {
  S3ListAnswer answer;
  bool is_list = false;
  bool url_encoded = false;
  bool truncated_seen = false;
  std::optional<std::string> key;
  std::optional<uint64_t> bytes;

  bool take(Seen seen, const Leaf& leaf) {
    if (leaf.root != "ListBucketResult") return false;
    is_list = true;
    if (seen == Seen::kParentBegin && leaf.name == "Contents") {
      key.reset();
      bytes.reset();
    } else if (seen == Seen::kParentEnd && leaf.name == "Contents") {
      if (!key || !bytes) return false;
      answer.entries.push_back({std::move(*key), *bytes});
    } else if (seen == Seen::kLeaf && leaf.parent == "Contents") {
      if (leaf.name == "Key" && std::exchange(key, leaf.text)) return false;
      if (leaf.name == "Size") bytes = number(leaf.text);
    } else if (seen == Seen::kLeaf && leaf.parent.empty()) {
      if (leaf.name == "Contents") return false;
      if (leaf.name == "NextContinuationToken") answer.next_token = leaf.text;
      if (leaf.name == "EncodingType") url_encoded = leaf.text == "url";
      if (leaf.name == "IsTruncated") {
        truncated_seen = leaf.text == "true" || leaf.text == "false";
        answer.truncated = leaf.text == "true";
      }
    }
    return true;
  }
};

tl::unexpected<Error> bad_answer(const char* what) {
  return fail(ErrorCode::kUnavailable, std::string("the server's answer is no ") + what);
}

}  // namespace

std::optional<S3ErrorAnswer> parse_error_answer(ByteSpan body) {
  S3ErrorAnswer answer;
  const bool ok = walk(body, [&answer](Seen seen, const Leaf& leaf) {
    if (leaf.root != "Error") return false;
    if (seen != Seen::kLeaf || !leaf.parent.empty()) return true;
    if (leaf.name == "Code") answer.code = cut(leaf.text);
    if (leaf.name == "Message") answer.message = cut(leaf.text);
    if (leaf.name == "Region") answer.region = cut(leaf.text);
    if (leaf.name == "ServerTime") answer.server_time = cut(leaf.text);
    return true;
  });
  if (!ok || answer.code.empty()) return std::nullopt;
  return answer;
}

Result<S3ListAnswer> parse_list_answer(ByteSpan body) {
  ListParse parse;
  const bool ok =
      walk(body, [&parse](Seen seen, const Leaf& leaf) { return parse.take(seen, leaf); });
  if (!ok || !parse.is_list || !parse.truncated_seen) return bad_answer("listing of a bucket");
  if (parse.url_encoded) {
    for (S3ListEntry& entry : parse.answer.entries) {
      std::optional<std::string> decoded = uri_decode(entry.key);
      if (!decoded) return bad_answer("listing of a bucket: a key is badly encoded");
      entry.key = std::move(*decoded);
    }
  }
  if (!parse.answer.truncated) parse.answer.next_token.clear();
  if (parse.answer.truncated && parse.answer.next_token.empty()) {
    return bad_answer("listing of a bucket: it goes on but does not say where");
  }
  return std::move(parse.answer);
}

Result<std::vector<S3DeleteError>> parse_delete_answer(ByteSpan body) {
  std::vector<S3DeleteError> errors;
  bool is_delete = false;
  const bool ok = walk(body, [&](Seen seen, const Leaf& leaf) {
    if (leaf.root != "DeleteResult") return false;
    is_delete = true;
    if (seen == Seen::kParentBegin && leaf.name == "Error") errors.emplace_back();
    if (seen == Seen::kLeaf && leaf.parent.empty() && leaf.name == "Error") return false;
    if (seen == Seen::kLeaf && leaf.parent == "Error") {
      if (leaf.name == "Key") errors.back().key = cut(leaf.text);
      if (leaf.name == "Code") errors.back().code = cut(leaf.text);
      if (leaf.name == "Message") errors.back().message = cut(leaf.text);
    }
    return true;
  });
  if (!ok || !is_delete) return bad_answer("answer to a removal of objects");
  return errors;
}

}  // namespace thaw
