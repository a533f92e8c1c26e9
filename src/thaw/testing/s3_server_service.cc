// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_service.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "thaw/base/check.h"

namespace thaw {
namespace {

constexpr size_t kKeyBytesMax = 1024;    // S3's own limit
constexpr size_t kViolationsMax = 1000;  // more of them tell nothing new
constexpr size_t kLongerBytesMax = 4096;
constexpr std::string_view kXmlHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
constexpr std::string_view kTokenBegin = "after-";

Bytes md5(ByteSpan bytes) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  CHECK(::EVP_Digest(bytes.data(), bytes.size(), out, &length, ::EVP_md5(), nullptr) == 1);
  const auto digest = std::as_bytes(std::span(out, length));
  return {digest.begin(), digest.end()};
}

std::string base64(ByteSpan bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  // SAFETY: unsigned char may alias any object.
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()),
                                       static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

S3Body content(Bytes bytes) { return std::make_shared<const S3Content>(std::move(bytes)); }

void set_text(S3Answer& answer, std::string_view text, std::string_view type) {
  const ByteSpan bytes = as_bytes(text);
  answer.body = content(Bytes(bytes.begin(), bytes.end()));
  answer.offset = 0;
  answer.bytes = bytes.size();
  answer.headers.emplace_back("Content-Type", type);
}

tl::unexpected<S3Refusal> refuse(unsigned status, std::string code, std::string message,
                                 bool violation = true) {
  return tl::unexpected<S3Refusal>(
      S3Refusal{status, std::move(code), std::move(message), violation, {}, {}});
}

/// Keys that survive every path on the way: valid UTF-8 without control characters, no empty part,
/// no "." or "..".
bool is_valid_key(std::string_view key) {
  if (key.empty() || key.size() > kKeyBytesMax || !is_utf8(key)) return false;
  for (const char c : key) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  while (true) {
    const size_t end = key.find('/');
    const std::string_view part = key.substr(0, end);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == std::string_view::npos) return true;
    key.remove_prefix(end + 1);
  }
}

bool is_valid_bucket(std::string_view name) {
  if (name.size() < 3 || name.size() > 63) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

/// As S3 answers encoding-type=url: '/' stays, a blank is '+'.
std::string listed_key(const std::string& key, bool url) {
  if (!url) return key;
  std::string encoded = s3_uri_encode(key, true);
  for (size_t at = 0; (at = encoded.find("%20", at)) != std::string::npos;) {
    encoded.replace(at, 3, "+");
  }
  return encoded;
}

struct Range {
  uint64_t offset = 0;
  uint64_t bytes = 0;
};
enum class RangeKind { kWhole, kPart, kOutside, kMalformed };

RangeKind parse_range(std::optional<std::string_view> header, uint64_t size, Range& range) {
  range = {0, size};
  if (!header) return RangeKind::kWhole;
  if (!header->starts_with("bytes=")) return RangeKind::kMalformed;
  const std::string_view text = header->substr(6);
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return RangeKind::kMalformed;
  const std::optional<uint64_t> first = parse_number(text.substr(0, dash));
  const std::optional<uint64_t> last = parse_number(text.substr(dash + 1));
  if (!first) {
    if (dash != 0 || !last) return RangeKind::kMalformed;
    if (*last == 0 || size == 0) return RangeKind::kOutside;
    range.bytes = std::min(*last, size);
    range.offset = size - range.bytes;
    return RangeKind::kPart;
  }
  const bool open = dash + 1 == text.size();
  if ((!last && !open) || (last && *last < *first)) return RangeKind::kMalformed;
  if (*first >= size) return RangeKind::kOutside;
  range.offset = *first;
  range.bytes = (open ? size - 1 : std::min(*last, size - 1)) - *first + 1;
  return RangeKind::kPart;
}

const S3Refusal kNoKey{404, "NoSuchKey", "The specified key does not exist.", false, {}, {}};

}  // namespace

S3Content::S3Content(Bytes content)
    : bytes(std::move(content)), etag('"' + to_hex(md5(bytes)) + '"') {}

uint64_t S3Counts::total() const {
  return std::accumulate(requests.begin(), requests.end(), uint64_t{0});
}

void S3Service::Object::set(S3Body body) {
  if (current != nullptr) previous = current;
  current = std::move(body);
}

S3Service::S3Service(const S3ServerOptions& options)
    : options_(options), page_keys_max_(options.page_keys_max) {
  for (const std::string& name : options.buckets) buckets_[name];
}

S3Body S3Service::object(const std::string& bucket, const std::string& key) const {
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return nullptr;
  const auto object = found->second.find(key);
  return object == found->second.end() ? nullptr : object->second.current;
}

void S3Service::set_object(const std::string& bucket, const std::string& key, Bytes bytes) {
  buckets_[bucket][key].set(content(std::move(bytes)));
}

void S3Service::remove_object(const std::string& bucket, const std::string& key) {
  if (object(bucket, key) != nullptr) buckets_[bucket][key].set(nullptr);
}

std::vector<std::string> S3Service::keys(const std::string& bucket) const {
  std::vector<std::string> keys;
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return keys;
  for (const auto& [key, object] : found->second) {
    if (object.current != nullptr) keys.push_back(key);
  }
  return keys;
}

void S3Service::forget() {
  // Connections and requests under way stay what they are.
  const uint64_t in_flight = counts_.in_flight;
  counts_ = {};
  counts_.in_flight = counts_.in_flight_max = in_flight;
  gets_.clear();
  violations_.clear();
}

std::optional<S3Refusal> S3Service::check_headers(const S3Request& request) {
  static constexpr std::string_view kKnown[] = {"x-amz-date", "x-amz-content-sha256",
                                                "x-amz-security-token"};
  static constexpr std::string_view kUnsupported[] = {
      "transfer-encoding", "if-match", "if-modified-since", "if-unmodified-since", "if-range"};
  std::set<std::string_view> seen;
  for (const auto& [name, value] : request.headers) {
    if (!seen.insert(name).second) {
      return S3Refusal{400, "InvalidRequest", "The header " + name + " is repeated."};
    }
    if (name.starts_with("x-amz-") &&
        std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) {
      return S3Refusal{400, "InvalidArgument", "The header " + name + " is unknown."};
    }
    if (std::find(std::begin(kUnsupported), std::end(kUnsupported), name) !=
        std::end(kUnsupported)) {
      return S3Refusal{501, "NotImplemented", "The header " + name + " is not supported."};
    }
  }
  const bool carries = request.method == "PUT" || request.method == "POST";
  const auto length = request.header("content-length");
  if (carries && !length) {
    return S3Refusal{411, "MissingContentLength", "The header Content-Length is missing."};
  }
  if (length && parse_number(*length) != request.body.size()) {
    return S3Refusal{400, "IncompleteBody", "The body has not the length that was announced."};
  }
  if (!carries && !request.body.empty()) {
    return S3Refusal{400, "InvalidRequest", "A " + request.method + " has a body."};
  }
  if (const auto given = request.header("content-md5")) {
    if (given->size() != 24) return S3Refusal{400, "InvalidDigest", "Content-MD5 is malformed."};
    if (*given != base64(md5(request.body))) {
      return S3Refusal{400, "BadDigest", "The body does not have the hash in Content-MD5."};
    }
  }
  const auto none_match = request.header("if-none-match");
  if (none_match && (request.method != "PUT" || *none_match != "*")) {
    return S3Refusal{501, "NotImplemented", "If-None-Match is for PUT, and '*' only."};
  }
  return std::nullopt;
}

tl::expected<S3Service::Subject, S3Refusal> S3Service::subject_of(const S3Request& request,
                                                                  const S3Target& target) const {
  Subject subject;
  std::string_view host = request.header("host").value_or("");
  if (host.empty()) return refuse(400, "InvalidRequest", "The Host header is missing.");
  host = host.substr(0, host.rfind(':'));
  std::string_view path = std::string_view(target.path).substr(1);
  const std::string suffix = "." + options_.domain;
  if (host.size() > suffix.size() && host.ends_with(suffix)) {
    subject.bucket = host.substr(0, host.size() - suffix.size());
    subject.key = path;
  } else {
    const size_t slash = std::min(path.find('/'), path.size());
    subject.bucket = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    subject.key = path;
  }
  if (!is_valid_bucket(subject.bucket)) {
    return refuse(400, "InvalidBucketName", "The bucket's name is not valid.");
  }
  const std::string& method = request.method;
  if (subject.key.empty()) {
    if (method == "PUT") subject.operation = S3Operation::kPutBucket;
    if (method == "HEAD") subject.operation = S3Operation::kHeadBucket;
    if (method == "GET" && target.value("list-type") == "2") subject.operation = S3Operation::kList;
    if (method == "POST" && target.has("delete")) subject.operation = S3Operation::kDeleteMany;
    return subject;
  }
  if (!is_valid_key(subject.key)) {
    return refuse(400, subject.key.size() > kKeyBytesMax ? "KeyTooLongError" : "InvalidURI",
                  "The key is not valid.");
  }
  if (method == "PUT") subject.operation = S3Operation::kPut;
  if (method == "GET") subject.operation = S3Operation::kGet;
  if (method == "HEAD") subject.operation = S3Operation::kHead;
  if (method == "DELETE") subject.operation = S3Operation::kDelete;
  return subject;
}

std::optional<S3Refusal> S3Service::check_query(S3Operation operation, const S3Target& target) {
  if (operation == S3Operation::kOther) {
    return S3Refusal{405, "MethodNotAllowed", "The method is not allowed against this resource."};
  }
  static constexpr std::string_view kListing[] = {"continuation-token", "encoding-type",
                                                  "list-type", "max-keys", "prefix"};
  for (const auto& [name, value] : target.query) {
    const bool known =
        operation == S3Operation::kList
            ? std::find(std::begin(kListing), std::end(kListing), name) != std::end(kListing)
            : operation == S3Operation::kDeleteMany && name == "delete" && value.empty();
    if (!known) {
      return S3Refusal{400, "InvalidArgument", "The query parameter " + name + " is unknown here."};
    }
  }
  return std::nullopt;
}

std::optional<S3Refusal> S3Service::planned_refusal(const S3Fate& fate) const {
  const std::string why = "Planned fault: " + std::string(to_string(fate.fault)) + ", request " +
                          std::to_string(fate.number) + " of seed " +
                          std::to_string(fates_->plan().seed) + ".";
  switch (fate.fault) {
    case S3Fault::kError:
      return S3Refusal{500, "InternalError", why, false};
    case S3Fault::kThrottle:
      return S3Refusal{503, "SlowDown", why, false};
    case S3Fault::kForbid:
      return S3Refusal{403, "AccessDenied", why, false};
    case S3Fault::kConflict:
      return S3Refusal{409, "ConditionalRequestConflict", why, false};
    default:
      return std::nullopt;
  }
}

S3Answer S3Service::error_answer(const S3Refusal& refusal, const S3Request& request) {
  if (refusal.violation && violations_.size() < kViolationsMax) {
    violations_.push_back(refusal.code + ": " + refusal.message + " (" + request.method + " " +
                          request.target + ")");
  }
  std::string xml(kXmlHead);
  xml += "<Error>" + xml_element("Code", refusal.code) + xml_element("Message", refusal.message);
  for (const auto& [name, value] : refusal.details) xml += xml_element(name, value);
  xml += xml_element("Resource", request.target.substr(0, request.target.find('?'))) +
         xml_element("RequestId", std::to_string(numbers_)) + "</Error>";
  S3Answer answer;
  answer.status = refusal.status;
  answer.headers = refusal.headers;
  set_text(answer, xml, "application/xml");
  return answer;
}

S3Answer S3Service::handle(const S3Request& request, S3Time now) {
  ++numbers_;
  counts_.bytes_in += request.body.size();
  Subject subject;
  S3Fate fate;
  const auto outcome = [&]() -> Outcome {
    const auto target = parse_s3_target(request.target);
    if (!target) return tl::unexpected<S3Refusal>(target.error());
    auto found = subject_of(request, *target);
    if (!found) return tl::unexpected<S3Refusal>(std::move(found.error()));
    subject = std::move(*found);
    ++counts_.requests[static_cast<size_t>(subject.operation)];
    if (auto refusal = check_headers(request)) return tl::unexpected<S3Refusal>(*refusal);
    if (auto refusal = check_signature_and_query(request, *target, subject, now)) {
      return tl::unexpected<S3Refusal>(*refusal);
    }
    const bool lists = subject.operation == S3Operation::kList;
    fate = fates_->next(subject.operation, lists ? target->value("prefix").value_or("")
                                                 : std::string_view(subject.key));
    if (subject.operation == S3Operation::kGet) ++gets_[subject.key];
    if (auto refusal = planned_refusal(fate)) return tl::unexpected<S3Refusal>(*refusal);
    if (fate.fault == S3Fault::kReset) return S3Answer{};
    if (fate.fault == S3Fault::kGarbage) return garbage(subject.operation, fate);
    return perform(subject, request, *target, fate, now);
  }();
  S3Answer answer = outcome ? *outcome : error_answer(outcome.error(), request);
  const bool needs_body = fate.fault == S3Fault::kStall || fate.fault == S3Fault::kCut ||
                          fate.fault == S3Fault::kTruncate;
  if (needs_body && answer.bytes == 0) fate.fault = S3Fault::kNone;
  answer.operation = subject.operation;
  answer.fate = fate;
  answer.number = numbers_;
  answer.headers.emplace_back("Date", s3_http_time(now));
  answer.headers.emplace_back("Server", "thaw-fake-s3");
  answer.headers.emplace_back("x-amz-request-id", std::to_string(numbers_));
  if (fate.fault != S3Fault::kNone) ++counts_.faults[static_cast<size_t>(fate.fault)];
  return answer;
}

std::optional<S3Refusal> S3Service::check_signature_and_query(const S3Request& request,
                                                              const S3Target& target,
                                                              const Subject& subject, S3Time now) {
  if (auto refusal = check_s3_signature(request, target, options_.account, now)) return refusal;
  return check_query(subject.operation, target);
}

S3Answer S3Service::garbage(S3Operation operation, const S3Fate& fate) {
  constexpr std::string_view kPage = "<html><body><h1>It works!</h1></body></html>\n";
  constexpr std::string_view kHalf = "<?xml version=\"1.0\"?><Error><Code>Internal";
  S3Answer answer;
  switch (fate.random % 4) {
    case 0:
      answer.status = 0;  // no HTTP at all
      return answer;
    case 1:
      answer.status = 503;
      set_text(answer, kPage, "text/html");
      return answer;
    case 2:
      answer.status = 500;
      set_text(answer, kHalf, "application/xml");
      return answer;
    default:
      // Success that is none: only where nobody loses data by believing it.
      answer.status = operation == S3Operation::kList || operation == S3Operation::kGet ||
                              operation == S3Operation::kDeleteMany
                          ? 200
                          : 502;
      set_text(answer, kPage, "text/html");
      return answer;
  }
}

S3Service::Outcome S3Service::perform(const Subject& subject, const S3Request& request,
                                      const S3Target& target, S3Fate& fate, S3Time now) {
  if (subject.operation == S3Operation::kPutBucket) return make_bucket(subject.bucket, request);
  const auto found = buckets_.find(subject.bucket);
  if (found == buckets_.end()) {
    return tl::unexpected<S3Refusal>(S3Refusal{404,
                                               "NoSuchBucket",
                                               "The specified bucket does not exist.",
                                               false,
                                               {{"BucketName", subject.bucket}},
                                               {}});
  }
  Bucket& bucket = found->second;
  switch (subject.operation) {
    case S3Operation::kPut:
      return put(bucket, subject.key, request);
    case S3Operation::kGet:
    case S3Operation::kHead:
      return get(bucket, subject.key, request, fate, now);
    case S3Operation::kDelete: {
      const auto object = bucket.find(subject.key);
      if (object != bucket.end() && object->second.current) object->second.set(nullptr);
      S3Answer answer;
      answer.status = 204;
      return answer;
    }
    case S3Operation::kDeleteMany:
      return remove_many(bucket, request, fate);
    case S3Operation::kList:
      return list(bucket, subject.bucket, target, now);
    default:
      return S3Answer{};  // HEAD of a bucket that is there
  }
}

S3Service::Outcome S3Service::put(Bucket& bucket, const std::string& key,
                                  const S3Request& request) {
  Object& object = bucket[key];
  if (request.header("if-none-match") && object.current != nullptr) {
    return tl::unexpected<S3Refusal>(
        S3Refusal{412,
                  "PreconditionFailed",
                  "At least one of the pre-conditions you specified did not hold",
                  false,
                  {{"Condition", "If-None-Match"}},
                  {}});
  }
  object.set(content(request.body));
  S3Answer answer;
  answer.headers.emplace_back("ETag", object.current->etag);
  return answer;
}

S3Body S3Service::stale_body(const Bucket& bucket, const std::string& key,
                             const S3Fate& fate) const {
  const Object& object = bucket.at(key);
  if (object.previous != nullptr) return object.previous;
  std::vector<S3Body> same_size;
  std::vector<S3Body> others;
  for (const auto& [other_key, other] : bucket) {
    if (other_key == key || other.current == nullptr) continue;
    const bool same = object.current && other.current->bytes.size() == object.current->bytes.size();
    (same ? same_size : others).push_back(other.current);
  }
  const std::vector<S3Body>& choice = same_size.empty() ? others : same_size;
  return choice.empty() ? nullptr : choice[fate.random % choice.size()];
}

S3Service::Outcome S3Service::get(Bucket& bucket, const std::string& key, const S3Request& request,
                                  S3Fate& fate, S3Time now) {
  const auto found = bucket.find(key);
  S3Body body = found == bucket.end() ? nullptr : found->second.current;
  if (fate.fault == S3Fault::kStale) {
    const S3Body stale = found == bucket.end() ? nullptr : stale_body(bucket, key, fate);
    if (stale == nullptr) fate.fault = S3Fault::kNone;
    if (stale != nullptr) body = stale;
  }
  const bool lies = fate.fault == S3Fault::kCorrupt || fate.fault == S3Fault::kWrongLength;
  if (body == nullptr) {
    if (lies) fate.fault = S3Fault::kNone;
    return tl::unexpected<S3Refusal>(kNoKey);
  }
  const uint64_t size = body->bytes.size();
  Range range;
  const RangeKind kind = parse_range(request.header("range"), size, range);
  if (kind == RangeKind::kMalformed) {
    return refuse(400, "InvalidArgument", "The Range header is malformed.");
  }
  if (kind == RangeKind::kOutside) {
    if (lies) fate.fault = S3Fault::kNone;
    return tl::unexpected<S3Refusal>(
        S3Refusal{416,
                  "InvalidRange",
                  "The requested range is not satisfiable",
                  false,
                  {{"ActualObjectSize", std::to_string(size)}},
                  {{"Content-Range", "bytes */" + std::to_string(size)}}});
  }
  S3Answer answer;
  answer.status = kind == RangeKind::kPart ? 206 : 200;
  answer.body = body;
  answer.offset = range.offset;
  answer.bytes = range.bytes;
  answer.headers = {{"ETag", body->etag},
                    {"Accept-Ranges", "bytes"},
                    {"Content-Type", "application/octet-stream"},
                    {"Last-Modified", s3_http_time(now)}};
  if (kind == RangeKind::kPart) {
    answer.headers.emplace_back("Content-Range",
                                "bytes " + std::to_string(range.offset) + "-" +
                                    std::to_string(range.offset + range.bytes - 1) + "/" +
                                    std::to_string(size));
  }
  if (lies && range.bytes == 0 && fate.fault == S3Fault::kCorrupt) {
    fate.fault = S3Fault::kNone;
  } else if (lies) {
    const auto begin = body->bytes.begin() + static_cast<ptrdiff_t>(range.offset);
    Bytes bytes(begin, begin + static_cast<ptrdiff_t>(range.bytes));
    if (fate.fault == S3Fault::kCorrupt) {
      const uint64_t bit = fate.random % (bytes.size() * 8);
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    } else if (fate.random % 2 == 0 && !bytes.empty()) {
      bytes.resize((fate.random >> 1) % bytes.size());
    } else {
      bytes.resize(bytes.size() + 1 + (fate.random >> 1) % kLongerBytesMax, std::byte{0x5a});
    }
    answer.offset = 0;
    answer.bytes = bytes.size();
    answer.body = content(std::move(bytes));
  }
  return answer;
}

S3Service::Outcome S3Service::remove_many(Bucket& bucket, const S3Request& request,
                                          const S3Fate& fate) {
  if (!request.header("content-md5")) {
    return refuse(400, "InvalidRequest", "Missing required header for this request: Content-MD5");
  }
  const std::optional<S3DeleteList> wanted = parse_s3_delete(as_text(request.body));
  if (!wanted) return refuse(400, "MalformedXML", "The XML is not what the schema asks for.");
  const std::set<std::string> distinct(wanted->keys.begin(), wanted->keys.end());
  if (distinct.size() != wanted->keys.size()) {
    return refuse(400, "InvalidRequest", "A key is to be deleted twice.");
  }
  std::string xml(kXmlHead);
  xml += "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (size_t i = 0; i < wanted->keys.size(); ++i) {
    const std::string& key = wanted->keys[i];
    if (!is_valid_key(key)) return refuse(400, "InvalidArgument", "A key is not valid.");
    if (fates_->keeps(fate, i)) {
      xml += "<Error>" + xml_element("Key", key) + xml_element("Code", "InternalError") +
             xml_element("Message", "Planned fault.") + "</Error>";
      continue;
    }
    const auto found = bucket.find(key);
    if (found != bucket.end() && found->second.current) found->second.set(nullptr);
    if (!wanted->quiet) xml += "<Deleted>" + xml_element("Key", key) + "</Deleted>";
  }
  S3Answer answer;
  set_text(answer, xml + "</DeleteResult>", "application/xml");
  return answer;
}

S3Service::Outcome S3Service::list(const Bucket& bucket, const std::string& name,
                                   const S3Target& target, S3Time now) {
  const std::string prefix(target.value("prefix").value_or(""));
  const std::string token(target.value("continuation-token").value_or(""));
  const std::optional<uint64_t> asked = parse_number(target.value("max-keys").value_or("1000"));
  const std::string encoding(target.value("encoding-type").value_or(""));
  const bool url = encoding == "url";
  if (!asked || *asked > 1000) return refuse(400, "InvalidArgument", "max-keys is 0 to 1000.");
  if (!url && !encoding.empty()) return refuse(400, "InvalidArgument", "encoding-type is url.");
  std::string after;
  if (target.has("continuation-token")) {
    // A token names the prefix too: it is good for the listing that gave it and for no other.
    const std::string_view text(token);
    const size_t dot = text.find('.');
    const auto of_prefix = text.starts_with(kTokenBegin) && dot != std::string_view::npos
                               ? from_hex(text.substr(kTokenBegin.size(), dot - kTokenBegin.size()))
                               : std::nullopt;
    const auto key = of_prefix ? from_hex(text.substr(dot + 1)) : std::nullopt;
    if (!key || as_text(*of_prefix) != prefix) {
      return refuse(400, "InvalidArgument", "The continuation token is not one of this listing.");
    }
    after = as_text(*key);
  }
  const uint64_t keys_max = std::min(*asked, page_keys_max_);
  std::string contents;
  std::string last;
  uint64_t count = 0;
  bool more = false;
  auto at = after.empty() ? bucket.lower_bound(prefix) : bucket.upper_bound(after);
  for (; at != bucket.end() && at->first.starts_with(prefix); ++at) {
    const auto& [key, object] = *at;
    if (object.current == nullptr) continue;
    if (count == keys_max) {
      more = keys_max > 0;
      break;
    }
    contents += "<Contents>" + xml_element("Key", listed_key(key, url)) +
                xml_element("LastModified", s3_extended_time(now)) +
                xml_element("ETag", object.current->etag) +
                xml_element("Size", std::to_string(object.current->bytes.size())) +
                xml_element("StorageClass", "STANDARD") + "</Contents>";
    last = key;
    ++count;
  }
  std::string xml(kXmlHead);
  xml += "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" +
         xml_element("Name", name) + xml_element("Prefix", listed_key(prefix, url)) +
         xml_element("KeyCount", std::to_string(count)) +
         xml_element("MaxKeys", std::to_string(*asked));
  if (url) xml += xml_element("EncodingType", "url");
  xml += xml_element("IsTruncated", more ? "true" : "false");
  if (!token.empty()) xml += xml_element("ContinuationToken", token);
  if (more) {
    xml +=
        xml_element("NextContinuationToken", std::string(kTokenBegin) + to_hex(as_bytes(prefix)) +
                                                 "." + to_hex(as_bytes(last)));
  }
  S3Answer answer;
  set_text(answer, xml + contents + "</ListBucketResult>", "application/xml");
  return answer;
}

S3Service::Outcome S3Service::make_bucket(const std::string& name, const S3Request& request) {
  const std::string& region = options_.account.region;
  const bool has_region =
      as_text(request.body).find("<LocationConstraint>" + region + "<") != std::string_view::npos;
  if (region == "us-east-1" ? !request.body.empty() : !has_region) {
    return refuse(400, "IllegalLocationConstraintException",
                  "The location constraint is not that of the region.");
  }
  if (!buckets_.emplace(name, Bucket{}).second) {
    return tl::unexpected<S3Refusal>(S3Refusal{409,
                                               "BucketAlreadyOwnedByYou",
                                               "The bucket is there already, and yours.",
                                               false,
                                               {{"BucketName", name}},
                                               {}});
  }
  S3Answer answer;
  answer.headers.emplace_back("Location", "/" + name);
  return answer;
}

}  // namespace thaw
