// SPDX-License-Identifier: Apache-2.0
//
// thaw-fake-s3: the strict S3 server of the tests as a process, for tests across processes and
// network namespaces.
#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/testing/fake_s3_control.h"
#include "thaw/testing/s3_server.h"

namespace thaw {
namespace {

constexpr int kExitBadOptions = 2;
constexpr int kExitFailed = 4;

constexpr const char kHelp[] =
    "Usage: thaw-fake-s3 [OPTION VALUE]... [--stay]\n"
    "\n"
    "A strict S3 server in memory. Prints one line of JSON with its endpoint and keys, then "
    "answers\n"
    "control lines from its standard input until that ends; with --stay it then goes on until it\n"
    "is killed.\n"
    "\n"
    "  --bind ADDRESS      IPv4 address to listen on (127.0.0.1)\n"
    "  --port PORT         0, the default, is any free one\n"
    "  --bucket NAME       there from the beginning (thaw-test); may be repeated\n"
    "  --access-key KEY    --secret-key KEY    --region NAME    --domain NAME\n"
    "  --shape NAME        answers take as long as a 'zone' or 'origin' does\n"
    "  --seed NUMBER       of the delays (1)\n"
    "\n"
    "Control lines, each answered by one line:\n"
    "  {\"chaos\": {\"seed\": 7, \"error_rate\": 0.1, \"only\": [\"get\"], \"shape\": "
    "\"origin\"}}\n"
    "  {\"clock_offset_s\": 3600}  {\"page_keys_max\": 10}  {\"forget\": true}  {\"report\": "
    "true}\n";

struct Options {
  S3ServerOptions server;
  nlohmann::json chaos = nlohmann::json::object();
  bool stay = false;
  bool help = false;
};

bool parse_count(const std::string& text, uint64_t max, uint64_t& out) {
  if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
    return false;
  out = std::stoull(text);
  return out <= max;
}

/// Empty, or what is wrong.
std::string parse(const std::vector<std::string>& arguments, Options& options) {
  std::vector<std::string> buckets;
  S3Account& account = options.server.account;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name == "--stay" || name == "--help") {
      (name == "--stay" ? options.stay : options.help) = true;
      continue;
    }
    if (i + 1 == arguments.size()) return name + " is unknown or has no value";
    const std::string& value = arguments[++i];
    uint64_t number = 0;
    if (name == "--bind") {
      options.server.bind = value;
    } else if (name == "--bucket") {
      buckets.push_back(value);
    } else if (name == "--access-key") {
      account.access_key = value;
    } else if (name == "--secret-key") {
      account.secret_key = value;
    } else if (name == "--region") {
      account.region = value;
    } else if (name == "--domain") {
      options.server.domain = value;
    } else if (name == "--shape") {
      options.chaos["shape"] = value;
    } else if (name == "--port" && parse_count(value, 65535, number)) {
      options.server.port = static_cast<uint16_t>(number);
    } else if (name == "--seed" && parse_count(value, UINT64_MAX, number)) {
      options.chaos["seed"] = number;
    } else {
      return name + " is unknown, or its value is no number";
    }
  }
  if (!buckets.empty()) options.server.buckets = std::move(buckets);
  return {};
}

int run(const Options& options) {
  Result<S3Chaos> chaos = decode_s3_chaos(options.chaos.dump());
  if (!chaos) {
    std::fprintf(stderr, "thaw-fake-s3: %s\n", chaos.error().message.c_str());
    return kExitBadOptions;
  }
  const Result<std::unique_ptr<S3Server>> server = S3Server::start(options.server);
  if (!server) {
    std::fprintf(stderr, "thaw-fake-s3: %s\n", server.error().message.c_str());
    return kExitFailed;
  }
  (*server)->set_chaos(std::move(*chaos));
  const S3Account& account = options.server.account;
  const nlohmann::json hello = {
      {"endpoint", (*server)->endpoint()}, {"port", (*server)->port()},
      {"buckets", options.server.buckets}, {"region", account.region},
      {"access_key", account.access_key},  {"secret_key", account.secret_key}};
  std::cout << hello.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer_control_line(**server, line) << std::endl;
  }
  if (options.stay) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    int signal = 0;
    ::sigwait(&ends, &signal);
  }
  return 0;
}

}  // namespace
}  // namespace thaw

int main(int argc, char** argv) {
  thaw::Options options;
  const std::string fault = thaw::parse({argv + 1, argv + argc}, options);
  if (!fault.empty() || options.help) {
    if (!fault.empty()) std::fprintf(stderr, "thaw-fake-s3: %s\n", fault.c_str());
    std::fputs(thaw::kHelp, fault.empty() ? stdout : stderr);
    return fault.empty() ? 0 : thaw::kExitBadOptions;
  }
  std::signal(SIGPIPE, SIG_IGN);
  if (options.stay) {
    // Before the server has threads, so that the signals wait for sigwait() in run().
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  }
  return thaw::run(options);
}
