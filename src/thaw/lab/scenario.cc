// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/scenario.h"

#include <toml++/toml.h>

#include <set>
#include <sstream>
#include <utility>

#include "thaw/base/bytes.h"
#include "thaw/crypto/digest.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr int64_t kRoundsMax = 1'000'000;

/// An axis and its values, as text.
using AxisValues = std::pair<std::string, std::vector<std::string>>;

Result<std::string> value_text(const std::string& place, const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<int64_t>()) return std::to_string(*number);
  return fail(ErrorCode::kInvalid, place + " must hold texts or whole numbers");
}

Result<AxisValues> read_axis(const std::string& source, std::string_view name,
                             const toml::node& node) {
  const std::string place = source + ": " + std::string(name);
  const toml::array* const array = node.as_array();
  if (array == nullptr || array->empty()) {
    return fail(ErrorCode::kInvalid, place + " must be a list of at least one value");
  }
  AxisValues axis{std::string(name), {}};
  for (const toml::node& element : *array) {
    ASSIGN_OR_RETURN(std::string text, value_text(place, element));
    Cell scratch;
    if (Result<void> known = set_axis(scratch, name, text); !known) {
      return fail(std::move(known).error().with_context(source));
    }
    axis.second.push_back(std::move(text));
  }
  return axis;
}

Result<void> expand(const std::string& source, const std::vector<AxisValues>& axes,
                    size_t& combinations, std::set<std::string>& seen, Scenario& out) {
  size_t count = 1;
  for (const AxisValues& axis : axes) {
    count *= axis.second.size();
    if (count > kScenarioCellsMax - combinations) {
      return fail(ErrorCode::kExhausted,
                  source + ": more than " + std::to_string(kScenarioCellsMax) + " combinations");
    }
  }
  combinations += count;
  for (size_t number = 0; number < count; ++number) {
    Cell cell;
    size_t rest = number;
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
      TRY(set_axis(cell, axis->first, axis->second[rest % axis->second.size()]));
      rest /= axis->second.size();
    }
    if (!seen.insert(cell.key()).second) continue;
    if (const auto why = excluded(cell)) {
      out.excluded.push_back({cell, *why});
    } else {
      out.cells.push_back(cell);
    }
  }
  return {};
}

Result<void> read_rounds(const std::string& source, std::string_view key, const toml::node& node,
                         int64_t least, uint64_t& out) {
  const auto value = node.value_exact<int64_t>();
  if (!value || *value < least || *value > kRoundsMax) {
    return fail(ErrorCode::kInvalid, source + ": " + std::string(key) +
                                         " must be a whole number from " + std::to_string(least) +
                                         " to " + std::to_string(kRoundsMax));
  }
  out = static_cast<uint64_t>(*value);
  return {};
}

Result<void> read_matrices(const std::string& source, const toml::node& node, Scenario& out) {
  const toml::array* const matrices = node.as_array();
  if (matrices == nullptr) {
    return fail(ErrorCode::kInvalid, source + ": write [[matrix]], with two brackets");
  }
  size_t combinations = 0;
  std::set<std::string> seen;
  for (const toml::node& each : *matrices) {
    const toml::table* const table = each.as_table();
    if (table == nullptr) return fail(ErrorCode::kInvalid, source + ": write [[matrix]]");
    if (table->empty()) {
      return fail(ErrorCode::kInvalid,
                  source + ":" + std::to_string(table->source().begin.line) +
                      ": the matrix is empty; name at least one axis, as function = [\"json\"]");
    }
    std::vector<AxisValues> axes;
    for (const auto& [name, values] : *table) {
      ASSIGN_OR_RETURN(AxisValues axis, read_axis(source, name.str(), values));
      axes.push_back(std::move(axis));
    }
    TRY(expand(source, axes, combinations, seen, out));
  }
  return {};
}

Result<Scenario> read_table(const toml::table& root, const std::string& source) {
  Scenario scenario;
  for (const auto& [name, node] : root) {
    if (name == "about") {
      const auto text = node.value_exact<std::string>();
      if (!text) return fail(ErrorCode::kInvalid, source + ": about must be a text");
      scenario.about = *text;
    } else if (name == "seed") {
      TRY(read_rounds(source, "seed", node, 0, scenario.seed));
    } else if (name == "repetitions") {
      TRY(read_rounds(source, "repetitions", node, 1, scenario.repetitions));
    } else if (name == "warm_up") {
      TRY(read_rounds(source, "warm_up", node, 0, scenario.warm_up));
    } else if (name == "matrix") {
      TRY(read_matrices(source, node, scenario));
    } else {
      return fail(ErrorCode::kInvalid,
                  source + ": '" + std::string(name.str()) +
                      "' is not known; known are about, seed, repetitions, warm_up and [[matrix]]");
    }
  }
  if (scenario.cells.empty()) {
    std::string why = source + ": nothing to run: ";
    why += scenario.excluded.empty()
               ? "there is no [[matrix]]"
               : "no combination makes sense; the first: " + scenario.excluded[0].why;
    return fail(ErrorCode::kInvalid, why);
  }
  return scenario;
}

}  // namespace

std::string Scenario::digest() const {
  std::ostringstream text;
  text << "thaw lab v1\n" << seed << ' ' << repetitions << ' ' << warm_up << '\n';
  for (const Cell& cell : cells) text << cell.key() << '\n';
  return to_hex(sha256(as_bytes(text.str())));
}

Result<Scenario> parse_scenario(std::string_view text, const std::string& source) {
  try {
    const toml::table root = toml::parse(text);
    return read_table(root, source);
  } catch (const toml::parse_error& error) {
    std::ostringstream message;
    message << source << ':' << error.source().begin.line << ": " << error.description();
    return fail(ErrorCode::kInvalid, message.str());
  }
}

Result<Scenario> read_scenario(const std::string& path) {
  ASSIGN_OR_RETURN(const Bytes text, read_file(path, kScenarioBytesMax));
  return parse_scenario({reinterpret_cast<const char*>(text.data()), text.size()}, path);
}

}  // namespace thaw
