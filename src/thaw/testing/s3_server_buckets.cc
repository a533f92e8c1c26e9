// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/s3_server_buckets.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace thaw {
namespace {

constexpr size_t kLongerBytesMax = 4096;
constexpr std::string_view kTokenBegin = "after-";

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
  const std::optional<uint64_t> first = parse_s3_number(text.substr(0, dash));
  const std::optional<uint64_t> last = parse_s3_number(text.substr(dash + 1));
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

S3Buckets::S3Buckets(const std::vector<std::string>& names, std::string region,
                     uint64_t page_keys_max)
    : region_(std::move(region)), page_keys_max_(page_keys_max) {
  for (const std::string& name : names) buckets_[name];
}

void S3Buckets::Object::set(S3Body body) {
  if (current != nullptr) previous = current;
  current = std::move(body);
}

S3Body S3Buckets::object(const std::string& bucket, const std::string& key) const {
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return nullptr;
  const auto object = found->second.find(key);
  return object == found->second.end() ? nullptr : object->second.current;
}

void S3Buckets::set_object(const std::string& bucket, const std::string& key, Bytes bytes) {
  buckets_[bucket][key].set(make_s3_body(std::move(bytes)));
}

void S3Buckets::remove_object(const std::string& bucket, const std::string& key) {
  if (object(bucket, key) != nullptr) buckets_[bucket][key].set(nullptr);
}

std::vector<std::string> S3Buckets::keys(const std::string& bucket) const {
  std::vector<std::string> keys;
  const auto found = buckets_.find(bucket);
  if (found == buckets_.end()) return keys;
  for (const auto& [key, object] : found->second) {
    if (object.current != nullptr) keys.push_back(key);
  }
  return keys;
}

S3Outcome S3Buckets::perform(const S3Subject& subject, const S3Request& request,
                             const S3Target& target, S3Fates& fates, S3Fate& fate, S3Time now) {
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
      return remove_many(bucket, request, fates, fate);
    case S3Operation::kList:
      return list(bucket, subject.bucket, target, now);
    default:
      return S3Answer{};  // HEAD of a bucket that is there
  }
}

S3Outcome S3Buckets::put(Bucket& bucket, const std::string& key, const S3Request& request) {
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
  object.set(make_s3_body(request.body));
  S3Answer answer;
  answer.headers.emplace_back("ETag", object.current->etag);
  return answer;
}

S3Body S3Buckets::stale_body(const Bucket& bucket, const std::string& key,
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

S3Outcome S3Buckets::get(Bucket& bucket, const std::string& key, const S3Request& request,
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
    return refuse_s3(400, "InvalidArgument", "The Range header is malformed.");
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
    answer.body = make_s3_body(std::move(bytes));
  }
  return answer;
}

S3Outcome S3Buckets::remove_many(Bucket& bucket, const S3Request& request, S3Fates& fates,
                                 const S3Fate& fate) {
  if (!request.header("content-md5")) {
    return refuse_s3(400, "InvalidRequest",
                     "Missing required header for this request: Content-MD5");
  }
  const std::optional<S3DeleteList> wanted = parse_s3_delete(as_text(request.body));
  if (!wanted) return refuse_s3(400, "MalformedXML", "The XML is not what the schema asks for.");
  const std::set<std::string> distinct(wanted->keys.begin(), wanted->keys.end());
  if (distinct.size() != wanted->keys.size()) {
    return refuse_s3(400, "InvalidRequest", "A key is to be deleted twice.");
  }
  std::string xml(kS3XmlHead);
  xml += "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (size_t i = 0; i < wanted->keys.size(); ++i) {
    const std::string& key = wanted->keys[i];
    if (!is_valid_s3_key(key)) return refuse_s3(400, "InvalidArgument", "A key is not valid.");
    if (fates.keeps(fate, i)) {
      xml += "<Error>" + xml_element("Key", key) + xml_element("Code", "InternalError") +
             xml_element("Message", "Planned fault.") + "</Error>";
      continue;
    }
    const auto found = bucket.find(key);
    if (found != bucket.end() && found->second.current) found->second.set(nullptr);
    if (!wanted->quiet) xml += "<Deleted>" + xml_element("Key", key) + "</Deleted>";
  }
  S3Answer answer;
  answer.set_text(xml + "</DeleteResult>", "application/xml");
  return answer;
}

S3Outcome S3Buckets::list(const Bucket& bucket, const std::string& name, const S3Target& target,
                          S3Time now) {
  const std::string prefix(target.value("prefix").value_or(""));
  const std::string token(target.value("continuation-token").value_or(""));
  const std::optional<uint64_t> asked = parse_s3_number(target.value("max-keys").value_or("1000"));
  const std::string encoding(target.value("encoding-type").value_or(""));
  const bool url = encoding == "url";
  if (!asked || *asked > 1000) return refuse_s3(400, "InvalidArgument", "max-keys is 0 to 1000.");
  if (!url && !encoding.empty()) return refuse_s3(400, "InvalidArgument", "encoding-type is url.");
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
      return refuse_s3(400, "InvalidArgument",
                       "The continuation token is not one of this listing.");
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
  std::string xml(kS3XmlHead);
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
  answer.set_text(xml + contents + "</ListBucketResult>", "application/xml");
  return answer;
}

S3Outcome S3Buckets::make_bucket(const std::string& name, const S3Request& request) {
  const std::string& region = region_;
  const bool has_region =
      as_text(request.body).find("<LocationConstraint>" + region + "<") != std::string_view::npos;
  if (region == "us-east-1" ? !request.body.empty() : !has_region) {
    return refuse_s3(400, "IllegalLocationConstraintException",
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
