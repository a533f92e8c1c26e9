// SPDX-License-Identifier: Apache-2.0
//
// S3Curl: a client of the fake S3 server for its tests, whose requests are signed by libcurl, that
// is by code which neither thaw's signer nor the server's check has anything in common with.
#pragma once

#include <curl/curl.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "thaw/base/check.h"
#include "thaw/crypto/digest.h"
#include "thaw/testing/s3_server.h"

namespace thaw {

/// Where, and as whom.
struct S3CurlAccount {
  std::string endpoint;
  std::string access_key;
  std::string secret_key;
  std::string region;
};
inline S3CurlAccount s3_curl_account(const S3Server& server) {
  const S3Account& account = server.options().account;
  return {server.endpoint(), account.access_key, account.secret_key, account.region};
}

struct S3CurlRequest {
  std::string method = "GET";
  std::string target;  // "/bucket/key?query"
  std::string body = {};
  std::vector<std::string> headers = {};
  bool sign = true;
};

struct S3CurlReply {
  CURLcode result = CURLE_OK;
  long status = 0;
  std::string body;
  std::map<std::string, std::string> headers;  // names as sent
};

/// One transfer. Belongs to one thread, and stays where it is while libcurl knows it.
class S3CurlTransfer {
 public:
  S3CurlTransfer(const S3CurlAccount& account, S3CurlRequest request)
      : curl_(curl_easy_init()), request_(std::move(request)) {
    CHECK(curl_ != nullptr);
    const std::string url = account.endpoint + request_.target;
    const std::string key_pair = account.access_key + ":" + account.secret_key;
    const std::string signing = "aws:amz:" + account.region + ":s3";
    curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl_, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl_, CURLOPT_SSL_VERIFYHOST, 0L);
    if (request_.sign) {
      curl_easy_setopt(curl_, CURLOPT_USERPWD, key_pair.c_str());
      curl_easy_setopt(curl_, CURLOPT_AWS_SIGV4, signing.c_str());
    }
    if (request_.method == "HEAD") curl_easy_setopt(curl_, CURLOPT_NOBODY, 1L);
    if (request_.method == "PUT" || request_.method == "POST") {
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request_.body.size()));
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, request_.body.c_str());
      // Not "Content-Type:", to leave it out: libcurl 7.88 would sign a header that it does not
      // send.
      add_header("Content-Type: application/octet-stream");
    }
    add_header("x-amz-content-sha256: " + to_hex(sha256(as_bytes(request_.body))));
    for (const std::string& header : request_.headers) add_header(header);
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers_);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &S3CurlTransfer::on_body);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &S3CurlTransfer::on_header);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
  }
  ~S3CurlTransfer() {
    curl_easy_cleanup(curl_);
    curl_slist_free_all(headers_);
  }
  S3CurlTransfer(const S3CurlTransfer&) = delete;
  S3CurlTransfer& operator=(const S3CurlTransfer&) = delete;

  CURL* handle() { return curl_; }
  S3CurlReply run() { return finish(curl_easy_perform(curl_)); }
  S3CurlReply finish(CURLcode result) {
    reply_.result = result;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &reply_.status);
    return reply_;
  }

 private:
  static size_t on_body(char* data, size_t, size_t bytes, void* self) {
    static_cast<S3CurlTransfer*>(self)->reply_.body.append(data, bytes);
    return bytes;
  }
  static size_t on_header(char* data, size_t, size_t bytes, void* self) {
    const std::string line(data, bytes);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) {
      static_cast<S3CurlTransfer*>(self)->reply_.headers[line.substr(0, colon)] =
          line.substr(colon + 2, line.size() - colon - 4);
    }
    return bytes;
  }
  void add_header(const std::string& header) {
    headers_ = curl_slist_append(headers_, header.c_str());
  }

  CURL* curl_;
  curl_slist* headers_ = nullptr;
  const S3CurlRequest request_;
  S3CurlReply reply_;
};

inline S3CurlReply s3_curl(const S3CurlAccount& account, S3CurlRequest request) {
  return S3CurlTransfer(account, std::move(request)).run();
}
inline S3CurlReply s3_curl(const S3Server& server, S3CurlRequest request) {
  return s3_curl(s3_curl_account(server), std::move(request));
}

/// All of them at once; the replies in the order of the requests.
inline std::vector<S3CurlReply> s3_curl_all(const S3Server& server,
                                            const std::vector<S3CurlRequest>& requests) {
  std::vector<std::unique_ptr<S3CurlTransfer>> transfers;
  CURLM* multi = curl_multi_init();
  CHECK(multi != nullptr);
  for (const S3CurlRequest& request : requests) {
    transfers.push_back(std::make_unique<S3CurlTransfer>(s3_curl_account(server), request));
    curl_multi_add_handle(multi, transfers.back()->handle());
  }
  int running = 1;
  while (running > 0) {
    curl_multi_perform(multi, &running);
    if (running > 0) curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  }
  std::map<CURL*, CURLcode> results;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    results[message->easy_handle] = message->data.result;
  }
  std::vector<S3CurlReply> replies;
  for (const auto& transfer : transfers) {
    replies.push_back(transfer->finish(results[transfer->handle()]));
    curl_multi_remove_handle(multi, transfer->handle());
  }
  curl_multi_cleanup(multi);
  return replies;
}

}  // namespace thaw
