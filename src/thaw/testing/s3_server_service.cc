// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_service.h"

#include <openssl/evp.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

namespace thaw {
namespace {

constexpr size_t kViolationsMax = 1000;  // more of them tell nothing new

std::string base64(ByteSpan bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  // SAFETY: unsigned char may alias any object.
  const int length = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()),
                                       static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

bool is_valid_bucket(std::string_view name) {
  if (name.size() < 3 || name.size() > 63) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

}  // namespace

uint64_t S3Counts::total() const {
  return std::accumulate(requests.begin(), requests.end(), uint64_t{0});
}

S3Service::S3Service(const S3ServerOptions& options)
    : options_(options), buckets_(options.buckets, options.account.region, options.page_keys_max) {}

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
  if (length && parse_s3_number(*length) != request.body.size()) {
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

tl::expected<S3Subject, S3Refusal> S3Service::subject_of(const S3Request& request,
                                                         const S3Target& target) const {
  S3Subject subject;
  std::string_view host = request.header("host").value_or("");
  if (host.empty()) return refuse_s3(400, "InvalidRequest", "The Host header is missing.");
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
    return refuse_s3(400, "InvalidBucketName", "The bucket's name is not valid.");
  }
  const std::string& method = request.method;
  if (subject.key.empty()) {
    if (method == "PUT") subject.operation = S3Operation::kPutBucket;
    if (method == "HEAD") subject.operation = S3Operation::kHeadBucket;
    if (method == "GET" && target.value("list-type") == "2") subject.operation = S3Operation::kList;
    if (method == "POST" && target.has("delete")) subject.operation = S3Operation::kDeleteMany;
    return subject;
  }
  if (!is_valid_s3_key(subject.key)) {
    return refuse_s3(400, subject.key.size() > kS3KeyBytesMax ? "KeyTooLongError" : "InvalidURI",
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
  std::string xml(kS3XmlHead);
  xml += "<Error>" + xml_element("Code", refusal.code) + xml_element("Message", refusal.message);
  for (const auto& [name, value] : refusal.details) xml += xml_element(name, value);
  xml += xml_element("Resource", request.target.substr(0, request.target.find('?'))) +
         xml_element("RequestId", std::to_string(numbers_)) + "</Error>";
  S3Answer answer;
  answer.status = refusal.status;
  answer.headers = refusal.headers;
  answer.set_text(xml, "application/xml");
  return answer;
}

S3Answer S3Service::handle(const S3Request& request, S3Time now) {
  ++numbers_;
  counts_.bytes_in += request.body.size();
  S3Subject subject;
  S3Fate fate;
  const auto outcome = [&]() -> S3Outcome {
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
    return buckets_.perform(subject, request, *target, *fates_, fate, now);
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
                                                              const S3Subject& subject,
                                                              S3Time now) {
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
      answer.set_text(kPage, "text/html");
      return answer;
    case 2:
      answer.status = 500;
      answer.set_text(kHalf, "application/xml");
      return answer;
    default:
      // Success that is none: only where nobody loses data by believing it.
      answer.status = operation == S3Operation::kList || operation == S3Operation::kGet ||
                              operation == S3Operation::kDeleteMany
                          ? 200
                          : 502;
      answer.set_text(kPage, "text/html");
      return answer;
  }
}

}  // namespace thaw
