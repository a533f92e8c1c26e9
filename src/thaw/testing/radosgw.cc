// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/radosgw.h"

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <random>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr std::chrono::seconds kStartMax{60};
constexpr std::chrono::milliseconds kPoll{50};
constexpr int kStartTries = 3;  // each with other ports
// The hash of no bytes, which libcurl's signer does not send by itself.
constexpr const char* kEmptyHash =
    "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::array kPrograms = {"ceph-mon",      "ceph-osd",   "radosgw",
                                  "radosgw-admin", "monmaptool", "ceph"};

/// A version 4 UUID (RFC 9562).
std::string make_uuid() {
  std::random_device random;
  std::array<std::byte, 16> bytes;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  std::string text = to_hex(bytes);
  for (const size_t at : {8u, 13u, 18u, 23u}) text.insert(at, "-");
  return text;
}

/// The status of one request; 0 if there was no answer.
long http_status(const std::string& url, const char* method, const std::string& key_pair,
                 std::string& body) {
  CURL* curl = curl_easy_init();
  if (curl == nullptr) return 0;
  const auto take = +[](char* data, size_t, size_t bytes, void* to) {
    static_cast<std::string*>(to)->append(data, bytes);
    return bytes;
  };
  curl_slist* headers = curl_slist_append(nullptr, kEmptyHash);
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  if (!key_pair.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERPWD, key_pair.c_str());
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
  }
  long status = 0;
  if (curl_easy_perform(curl) == CURLE_OK) {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  }
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return status;
}

}  // namespace

std::string Radosgw::unavailable() {
  std::string missing;
  for (const char* program : kPrograms) {
    if (find_program(program).empty())
      missing += std::string(missing.empty() ? "" : ", ") + program;
  }
  if (missing.empty()) return {};
  return "the Ceph gateway cannot run: no " + missing +
         " (Debian packages radosgw, ceph-mon, ceph-osd, ceph-common)";
}

Result<std::unique_ptr<Radosgw>> Radosgw::start() {
  if (std::string reason = unavailable(); !reason.empty()) {
    return fail(ErrorCode::kUnsupported, std::move(reason));
  }
  Error last{ErrorCode::kUnavailable, ""};
  for (int i = 0; i < kStartTries; ++i) {
    std::unique_ptr<Radosgw> radosgw(new Radosgw);
    Result<void> started = radosgw->write_config();
    if (started) started = radosgw->start_monitor();
    if (started) started = radosgw->start_object_store();
    if (started) started = radosgw->start_gateway();
    if (started) started = radosgw->create_user();
    if (started) started = radosgw->create_bucket(radosgw->bucket());
    if (started) return radosgw;
    last = std::move(started.error());
    last.message += "\n" + radosgw->logs();
  }
  return fail(std::move(last).with_context("cannot start a Ceph gateway"));
}

Result<void> Radosgw::write_config() {
  ASSIGN_OR_RETURN(monitor_port_, free_port());
  do {
    ASSIGN_OR_RETURN(port_, free_port());
  } while (port_ == monitor_port_);
  cluster_id_ = make_uuid();
  const std::string& path = directory_.path();
  // Short Paxos rounds and one placement group a pool are what makes the start quick; nothing here
  // is ever moved, mirrored or recovered. A gateway without a cache tells no others of its changes,
  // and so does not wait for one that was killed.
  const std::pair<const char*, std::string> settings[] = {
      {"fsid", cluster_id_},
      {"mon host", "v1:127.0.0.1:" + std::to_string(monitor_port_)},
      {"ms bind msgr2", "false"},
      {"public addr", "127.0.0.1"},
      {"cluster addr", "127.0.0.1"},
      {"auth cluster required", "none"},
      {"auth service required", "none"},
      {"auth client required", "none"},
      {"run dir", path},
      {"crash dir", path},
      {"admin socket", ""},
      {"keyring", path + "/keyring"},
      {"log file", path + "/$name.log"},
      {"mon data", path + "/mon"},
      {"mon cluster log file", "/dev/null"},
      {"paxos propose interval", "0.01"},
      {"paxos min wait", "0.01"},
      {"mon allow pool size one", "true"},
      {"mon max pg per osd", "1000"},
      {"osd data", path + "/osd"},
      {"osd objectstore", "memstore"},
      {"memstore device bytes", "8589934592"},
      {"osd crush chooseleaf type", "0"},
      {"osd pool default size", "1"},
      {"osd pool default min size", "1"},
      {"osd pool default pg num", "1"},
      {"osd pool default pgp num", "1"},
      {"osd pool default pg autoscale mode", "off"},
      {"rgw frontends", "beast tcp_nodelay=1 endpoint=127.0.0.1:" + std::to_string(port_)},
      {"rgw dns name", "localhost"},
      {"rgw enable apis", "s3"},
      {"rgw cache enabled", "false"},
      {"rgw enable gc threads", "false"},
      {"rgw enable lc threads", "false"},
      {"rgw enable quota threads", "false"},
      {"rgw run sync thread", "false"},
      {"rgw thread pool size", "64"},
  };
  std::string text = "[global]\n";
  for (const auto& [name, value] : settings) text += std::string(name) + " = " + value + "\n";
  return replace_file(directory_.file("ceph.conf"), as_bytes(text), 0600);
}

Result<std::unique_ptr<ChildProcess>> Radosgw::start_daemon(const std::string& name,
                                                            std::vector<std::string> argv) {
  argv.insert(argv.end(), {"-c", directory_.file("ceph.conf"), "-f"});
  return ChildProcess::start({.argv = std::move(argv), .log_path = directory_.file(name + ".out")});
}

Result<void> Radosgw::start_monitor() {
  const std::string map = directory_.file("monmap");
  const std::string config = directory_.file("ceph.conf");
  TRY(run_program({"monmaptool", "--create", "--addv", "a",
                   "v1:127.0.0.1:" + std::to_string(monitor_port_), "--fsid", cluster_id_, map}));
  TRY(run_program({"ceph-mon", "-c", config, "--mkfs", "-i", "a", "--monmap", map}));
  ASSIGN_OR_RETURN(monitor_, start_daemon("mon", {"ceph-mon", "-i", "a"}));
  return {};
}

Result<void> Radosgw::start_object_store() {
  const std::string config = directory_.file("ceph.conf");
  const std::string id = make_uuid();
  TRY(make_directories(directory_.file("osd")));
  // Waits for the monitor.
  TRY(run_program({"ceph", "-c", config, "--connect-timeout", "30", "osd", "new", id}));
  TRY(run_program({"ceph-osd", "-c", config, "-i", "0", "--mkfs", "--osd-uuid", id}));
  ASSIGN_OR_RETURN(object_store_, start_daemon("osd", {"ceph-osd", "-i", "0"}));
  return {};
}

Result<void> Radosgw::start_gateway() {
  ASSIGN_OR_RETURN(gateway_, start_daemon("rgw", {"radosgw", "-n", "client.rgw"}));
  const auto deadline = std::chrono::steady_clock::now() + kStartMax;
  std::string ignored;
  while (http_status(endpoint(), "GET", "", ignored) != 200) {
    if (!monitor_->running() || !object_store_->running() || !gateway_->running()) {
      return fail(ErrorCode::kUnavailable, "a daemon has ended");
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(ErrorCode::kUnavailable, "the gateway does not answer");
    }
    std::this_thread::sleep_for(kPoll);
  }
  return {};
}

Result<void> Radosgw::create_user() {
  TRY(run_program({"radosgw-admin", "-c", directory_.file("ceph.conf"), "user", "create", "--uid",
                   "thaw", "--display-name", "thaw", "--access-key", access_key_, "--secret-key",
                   secret_key_, "--max-buckets", "0"}));
  return {};
}

Result<void> Radosgw::create_bucket(const std::string& name) const {
  std::string body;
  const long status =
      http_status(endpoint() + "/" + name, "PUT", access_key_ + ":" + secret_key_, body);
  if (status == 200) return {};
  return fail(ErrorCode::kUnavailable, "the gateway answers " + std::to_string(status) +
                                           " to the making of bucket " + name + ": " + body);
}

Result<void> Radosgw::restart_gateway() {
  gateway_.reset();
  return start_gateway();
}

std::string Radosgw::logs() const {
  std::string text;
  for (const char* name :
       {"mon.out", "osd.out", "rgw.out", "mon.a.log", "osd.0.log", "client.rgw.log"}) {
    text += std::string("--- ") + name + "\n" + tail_of_file(directory_.file(name)) + "\n";
  }
  return text;
}

Result<Radosgw*> RadosgwEnvironment::get() {
  if (!gateway_) gateway_ = Radosgw::start();
  if (!*gateway_) return fail(gateway_->error());
  return (*gateway_)->get();
}

}  // namespace thaw
