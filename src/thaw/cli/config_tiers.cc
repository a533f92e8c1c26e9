// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/config_tiers.h"

#include <charconv>

namespace thaw {
namespace {

constexpr uint64_t kMsMax = 3'600'000;
constexpr uint16_t kMemcachedPort = 11211;

Result<void> any_size(uint64_t) { return {}; }

std::optional<S3Addressing> parse_addressing(std::string_view word) {
  if (word == "auto") return S3Addressing::kAuto;
  if (word == "path") return S3Addressing::kPath;
  if (word == "virtual_host") return S3Addressing::kVirtualHost;
  return std::nullopt;
}

std::optional<PolicyKind> policy_of(std::string_view word) {
  const Result<PolicyKind> kind = parse_policy(word);
  return kind ? std::optional(*kind) : std::nullopt;
}

std::optional<bool> parse_verify(std::string_view word) {
  if (word == "checksum") return false;
  if (word == "always") return true;
  return std::nullopt;
}

/// "host", "host:port" or "[v6]:port".
Result<ZoneNodeAddress> parse_node(std::string_view text, const std::string& place) {
  ZoneNodeAddress node;
  node.port = kMemcachedPort;
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    host = text.substr(1, close == std::string_view::npos ? 0 : close - 1);
    if (close != std::string_view::npos) port = text.substr(close + 1);
  } else if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
  }
  bool valid = !host.empty();
  if (!port.empty()) {
    const char* const end = port.data() + port.size();
    const auto parsed = std::from_chars(port.data() + 1, end, node.port);
    valid =
        valid && port[0] == ':' && parsed.ec == std::errc() && parsed.ptr == end && node.port != 0;
  }
  if (!valid) {
    return fail(ErrorCode::kInvalid,
                place + ": " + quote(text) + " is no node; write it as \"host\" or \"host:port\"");
  }
  node.host = std::string(host);
  return node;
}

/// { host = "10.0.0.1", port = 11211, name = "a", weight = 2.0 }
Result<ZoneNodeAddress> read_node(const toml::table& table, const std::string& place) {
  ZoneNodeAddress node;
  std::optional<std::string> host;
  std::optional<std::string> name;
  node.port = kMemcachedPort;
  ConfigSection section(place, "", &table);
  section.text("host", host);
  section.text("name", name);
  section.count("port", 1, 65535, node.port);
  section.number("weight", 0.001, 1000, node.weight);
  TRY(section.finish());
  if (!host) return fail(ErrorCode::kInvalid, place + ": a node needs a host");
  node.host = *host;
  node.name = name.value_or("");
  return node;
}

Result<void> take_node(const toml::node& element, const std::string& place, ZoneOptions& zone) {
  if (const auto text = element.value_exact<std::string>()) {
    ASSIGN_OR_RETURN(ZoneNodeAddress node, parse_node(*text, place));
    zone.nodes.push_back(std::move(node));
    return {};
  }
  if (const toml::table* table = element.as_table()) {
    ASSIGN_OR_RETURN(ZoneNodeAddress node, read_node(*table, place));
    zone.nodes.push_back(std::move(node));
    return {};
  }
  return fail(ErrorCode::kInvalid,
              place + " holds texts like \"host:port\" or tables like { host = \"...\" }");
}

}  // namespace

Result<void> read_s3(ConfigSection section, Config& config) {
  std::optional<std::string> endpoint, region, ca_file, id, secret, token;
  section.text("endpoint", endpoint);
  section.text("region", region);
  section.choice("addressing", "\"auto\", \"path\", \"virtual_host\"", parse_addressing,
                 config.s3.addressing);
  section.text("ca_file", ca_file);
  section.text("access_key_id", id);
  section.text("secret_access_key", secret);
  section.text("session_token", token);
  section.count("connections_max", 1, 4096, config.s3.connections_max);
  section.count("request_deadline_ms", 1, kMsMax, config.s3.request_deadline_ms);
  section.count("attempt_timeout_ms", 1, kMsMax, config.s3.attempt_timeout_ms);
  section.count("connect_timeout_ms", 1, kMsMax, config.s3.connect_timeout_ms);
  section.count("stall_ms", 1, kMsMax, config.s3.stall_ms);
  section.count("attempts_max", 1, 100, config.s3.attempts_max);
  section.number("retry_share", 0, 1, config.s3.retry_share);
  section.count("hedge_percentile", 0, 99, config.s3.hedge_percentile);
  section.number("hedge_share", 0, 1, config.s3.hedge_share);
  config.s3.endpoint = endpoint.value_or(config.s3.endpoint);
  config.s3.region = region.value_or(config.s3.region);
  config.s3.ca_file = ca_file.value_or(config.s3.ca_file);
  config.s3_key = {id.value_or(""), secret.value_or(""), token.value_or("")};
  return section.finish();
}

Result<void> read_origin(ConfigSection section, TierOptions& tiers) {
  section.count("requests_max", 1, 65'536, tiers.origin.requests_max);
  section.count("fault_reserve", 0, 65'535, tiers.origin.fault_reserve);
  section.count("queued_max", 1, 1'000'000'000, tiers.origin.queued_max);
  section.count("fills_max", 1, 65'536, tiers.fills_max);
  return section.finish();
}

Result<void> read_local(ConfigSection section, TierOptions& tiers) {
  if (!section.exists()) return {};
  LocalTierOptions local;
  std::optional<std::string> path;
  section.text("path", path);
  section.size("size", local.cache.bytes_max, any_size);
  section.size("slot_size", local.cache.slot_bytes, validate_chunk_bytes);
  section.choice("policy", "\"lru\", \"lru_k\", \"s3_fifo\"", policy_of, local.cache.policy);
  section.choice("verify", "\"checksum\", \"always\"", parse_verify, local.verify_always);
  section.flag("direct_io", local.cache.direct_io);
  section.flag("recreate", local.cache.recreate);
  TRY(section.finish());
  if (!path || local.cache.bytes_max == 0) {
    return section.lacks("path and size: the file of the disk cache and how large it may be");
  }
  local.cache.path = *path;
  tiers.memory.slot_bytes = local.cache.slot_bytes;
  tiers.memory.policy = local.cache.policy;
  tiers.local = std::move(local);
  return {};
}

Result<void> read_zone(ConfigSection section, TierOptions& tiers) {
  if (!section.exists()) return {};
  ZoneOptions zone;
  std::optional<std::string> ca_file, cert_file, key_file, server_name;
  section.list("nodes", [&](const toml::node& element, const std::string& place) {
    return take_node(element, place, zone);
  });
  section.count("data_stripes", 1, 16, zone.data_stripes);
  section.count("parity_stripes", 0, 4, zone.parity_stripes);
  section.count("get_timeout_ms", 1, kMsMax, zone.get_timeout_ms);
  section.count("set_timeout_ms", 1, kMsMax, zone.set_timeout_ms);
  section.count("connect_timeout_ms", 1, kMsMax, zone.node.connect_timeout_ms);
  section.count("stall_timeout_ms", 1, kMsMax, zone.node.stall_timeout_ms);
  section.count("threads", 1, 64, zone.threads);
  section.count("ttl_s", 0, 1'000'000'000, zone.node.ttl_s);
  section.size("item_bytes_max", zone.item_bytes_max, any_size);
  section.text("tls_ca_file", ca_file);
  section.text("tls_cert_file", cert_file);
  section.text("tls_key_file", key_file);
  section.text("tls_server_name", server_name);
  TRY(section.finish());
  if (zone.nodes.empty()) return section.lacks("nodes: the zone's cache servers");
  if (ca_file || cert_file || key_file || server_name) {
    zone.tls = TlsOptions{ca_file.value_or(""), cert_file.value_or(""), key_file.value_or(""),
                          server_name.value_or("")};
  }
  tiers.zone = std::move(zone);
  return {};
}

}  // namespace thaw
