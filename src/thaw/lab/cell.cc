// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/cell.h"

#include <algorithm>
#include <charconv>

#include "thaw/base/check.h"
#include "thaw/base/name.h"
#include "thaw/base/units.h"

namespace thaw {
namespace {

constexpr uint64_t kLabChunkBytesMin = 16 * kKiB;
constexpr uint64_t kLabChunkBytesMax = 4 * kMiB;
constexpr uint64_t kParallelMax = 256;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

const LabAxis* find_axis(std::string_view name) {
  const std::vector<LabAxis>& axes = lab_axes();
  const auto found = std::ranges::find(axes, name, &LabAxis::name);
  return found == axes.end() ? nullptr : &*found;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::unexpected<Error> bad_value(std::string_view axis, std::string_view value,
                                const std::string& wanted) {
  return fail(ErrorCode::kInvalid,
              std::string(axis) + " cannot be '" + std::string(value) + "': " + wanted);
}

}  // namespace

const std::vector<LabAxis>& lab_axes() {
  // Each enum's words in its own order.
  static const std::vector<LabAxis> axes{
      {"storage", {"plain", "encrypted", "chunked", "chunked_encrypted"}},
      {"chunk_bytes", {}},
      {"technique",
       {"present", "mapping", "mapping_cached", "study_on_demand", "study_reap", "study_faasnap",
        "on_demand", "reap", "faasnap", "chunks", "hot"}},
      {"tier", {"memory", "local", "zone", "origin", "empty_fleet"}},
      {"function", {}},
      {"input", {"same", "other"}},
      {"parallel", {}},
      {"without", {"nothing", "layout", "page_verify", "page_fill", "overlap", "placement"}},
      {"frontend", {"uffd", "mount"}},
      {"snapshot", {"full", "diff"}},
      {"clones", {"same", "different"}},
      {"driver", {"replay", "qemu", "firecracker"}},
  };
  return axes;
}

bool is_ours(Technique technique) { return technique >= Technique::kOnDemand; }
bool is_kernels(Technique technique) { return technique <= Technique::kMappingCached; }

std::optional<GuestVmm> real_vmm_of(const Cell& cell) {
  switch (cell.driver) {
    case LabDriver::kReplay:
      return std::nullopt;
    case LabDriver::kQemu:
      return GuestVmm::kQemu;
    case LabDriver::kFirecracker:
      return GuestVmm::kFirecracker;
  }
  return std::nullopt;
}

namespace {

std::optional<std::string> excluded_storage(const Cell& cell) {
  if (is_kernels(cell.technique) && cell.storage != LabStorage::kPlain) {
    return "the kernel maps plain files only";
  }
  if (is_ours(cell.technique) && cell.storage != LabStorage::kChunkedEncrypted) {
    return "thaw keeps nothing but encrypted chunks";
  }
  const bool file = cell.storage == LabStorage::kPlain || cell.storage == LabStorage::kEncrypted;
  if (file && cell.tier != LabTier::kLocal) return "a whole file is on the local disk";
  if (is_ours(cell.technique)) return std::nullopt;
  if (cell.tier == LabTier::kMemory) return "the study's server keeps nothing in memory";
  if (cell.tier == LabTier::kEmptyFleet) return "the study's server fills no zone";
  return std::nullopt;
}

std::optional<std::string> excluded_without(const Cell& cell) {
  if (cell.without == Without::kNothing) return std::nullopt;
  if (!is_ours(cell.technique)) return "only thaw's techniques can do without something";
  if (cell.without == Without::kLayout && cell.technique != Technique::kHot) {
    return "only hot has a layout to do without";
  }
  if (cell.without == Without::kPageVerify && cell.tier != LabTier::kLocal) {
    return "only the local disk verifies by page";
  }
  return std::nullopt;
}

std::optional<std::string> excluded_frontend(const Cell& cell) {
  if (cell.frontend == LabFrontend::kUffd) return std::nullopt;
  if (!is_ours(cell.technique)) return "the mount is thaw's";
  if (cell.technique != Technique::kOnDemand && cell.technique != Technique::kFaasnap) {
    return "through the mount the kernel faults on demand, or the VMM maps as FaaSnap does";
  }
  if (cell.without != Without::kNothing) return "the ablation is of the page server";
  return std::nullopt;
}

std::optional<std::string> excluded_clones(const Cell& cell) {
  if (cell.clones == LabClones::kSame) return std::nullopt;
  if (cell.parallel == 1) return "one resume is of one snapshot";
  if (cell.snapshot == LabSnapshot::kDiff) return "different snapshots are children already";
  return std::nullopt;
}

std::optional<std::string> excluded_driver(const Cell& cell) {
  if (cell.driver == LabDriver::kReplay) return std::nullopt;
  if (cell.snapshot == LabSnapshot::kDiff || cell.clones == LabClones::kDifferent) {
    return "a real guest has one snapshot, a full one";
  }
  if (cell.frontend == LabFrontend::kMount && cell.technique != Technique::kOnDemand) {
    return "a real VMM maps its memory in one piece";
  }
  if (cell.driver == LabDriver::kFirecracker && cell.technique == Technique::kPresent) {
    return "nobody can have all of a guest's memory present before Firecracker runs it";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> excluded(const Cell& cell) {
  for (const auto& rule :
       {excluded_storage, excluded_without, excluded_frontend, excluded_clones, excluded_driver}) {
    if (auto why = rule(cell)) return why;
  }
  return std::nullopt;
}

std::string Cell::key() const {
  const bool file = storage == LabStorage::kPlain || storage == LabStorage::kEncrypted;
  std::string key;
  for (const LabAxis& axis : lab_axes()) {
    if (axis.name == "chunk_bytes" && file) continue;
    key += (key.empty() ? "" : " ") + axis.name + "=" + axis_value(*this, axis.name);
  }
  return key;
}

std::string Cell::label() const {
  std::string label = function + " " + axis_value(*this, "storage") + " " +
                      axis_value(*this, "technique") + " " + axis_value(*this, "tier");
  const Cell defaults;
  for (const std::string_view axis : {"chunk_bytes", "input", "parallel", "without", "frontend",
                                      "snapshot", "clones", "driver"}) {
    const std::string value = axis_value(*this, axis);
    if (value != axis_value(defaults, axis)) label += " " + std::string(axis) + "=" + value;
  }
  return label;
}

Result<void> set_axis(Cell& cell, std::string_view axis, std::string_view value) {
  const LabAxis* const known = find_axis(axis);
  if (known == nullptr) {
    std::vector<std::string> names;
    for (const LabAxis& each : lab_axes()) names.push_back(each.name);
    return fail(ErrorCode::kInvalid,
                "there is no axis '" + std::string(axis) + "'; known are: " + joined(names));
  }
  if (axis == "function") {
    if (!is_name(value)) return bad_value(axis, value, std::string(kNameRule));
    cell.function = value;
    return {};
  }
  if (known->words.empty()) {
    const std::optional<uint64_t> number = parse_number(value);
    if (axis == "chunk_bytes") {
      if (!number || !is_power_of_two(*number) || *number < kLabChunkBytesMin ||
          *number > kLabChunkBytesMax) {
        return bad_value(axis, value, "a power of two from 16384 to 4194304 is");
      }
      cell.chunk_bytes = *number;
      return {};
    }
    if (!number || *number < 1 || *number > kParallelMax) {
      return bad_value(axis, value, "a number from 1 to 256 is");
    }
    cell.parallel = *number;
    return {};
  }
  const auto found = std::ranges::find(known->words, value);
  if (found == known->words.end()) {
    return bad_value(axis, value, "known are " + joined(known->words));
  }
  const auto index = found - known->words.begin();
  if (axis == "storage") cell.storage = static_cast<LabStorage>(index);
  if (axis == "technique") cell.technique = static_cast<Technique>(index);
  if (axis == "tier") cell.tier = static_cast<LabTier>(index);
  if (axis == "input") cell.input = static_cast<LabInput>(index);
  if (axis == "without") cell.without = static_cast<Without>(index);
  if (axis == "frontend") cell.frontend = static_cast<LabFrontend>(index);
  if (axis == "snapshot") cell.snapshot = static_cast<LabSnapshot>(index);
  if (axis == "clones") cell.clones = static_cast<LabClones>(index);
  if (axis == "driver") cell.driver = static_cast<LabDriver>(index);
  return {};
}

std::string axis_value(const Cell& cell, std::string_view axis) {
  const LabAxis* const known = find_axis(axis);
  CHECK(known != nullptr);
  const auto word = [&](auto value) { return known->words.at(static_cast<size_t>(value)); };
  if (axis == "storage") return word(cell.storage);
  if (axis == "chunk_bytes") return std::to_string(cell.chunk_bytes);
  if (axis == "technique") return word(cell.technique);
  if (axis == "tier") return word(cell.tier);
  if (axis == "function") return cell.function;
  if (axis == "input") return word(cell.input);
  if (axis == "parallel") return std::to_string(cell.parallel);
  if (axis == "without") return word(cell.without);
  if (axis == "frontend") return word(cell.frontend);
  if (axis == "snapshot") return word(cell.snapshot);
  if (axis == "clones") return word(cell.clones);
  return word(cell.driver);
}

}  // namespace thaw
