// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/core_set.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <optional>

#include "thaw/base/check.h"

namespace thaw {
namespace {

static_assert(kCoresMax == CPU_SETSIZE);

std::optional<unsigned> core_number(std::string_view text) {
  unsigned core = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), core);
  if (error != std::errc() || end != text.data() + text.size() || core >= kCoresMax) {
    return std::nullopt;
  }
  return core;
}

}  // namespace

Result<CoreSet> CoreSet::parse(std::string_view text) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalid, "'" + std::string(text) +
                                         "' names no cores: write numbers below " +
                                         std::to_string(kCoresMax) + " and ranges, as in 0-1,4");
  };
  CoreSet set;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view piece = rest.substr(0, comma);
    const size_t dash = piece.find('-');
    const std::optional<unsigned> first = core_number(piece.substr(0, dash));
    const std::optional<unsigned> last =
        dash == std::string_view::npos ? first : core_number(piece.substr(dash + 1));
    if (!first || !last || *last < *first) return wrong();
    for (unsigned core = *first; core <= *last; ++core) set.add(core);
    if (comma == std::string_view::npos) return set;
    rest.remove_prefix(comma + 1);
  }
}

CoreSet CoreSet::allowed() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CoreSet set;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return set;
  for (unsigned core = 0; core < kCoresMax; ++core) {
    if (CPU_ISSET(core, &mask)) set.cores_.push_back(static_cast<uint16_t>(core));
  }
  return set;
}

void CoreSet::add(unsigned core) {
  CHECK(core < kCoresMax);
  const auto at = std::lower_bound(cores_.begin(), cores_.end(), core);
  if (at == cores_.end() || *at != core) cores_.insert(at, static_cast<uint16_t>(core));
}

bool CoreSet::contains(unsigned core) const {
  return std::binary_search(cores_.begin(), cores_.end(), core);
}

CoreSet CoreSet::without(const CoreSet& other) const {
  CoreSet rest;
  std::set_difference(cores_.begin(), cores_.end(), other.cores_.begin(), other.cores_.end(),
                      std::back_inserter(rest.cores_));
  return rest;
}

std::string CoreSet::text() const {
  std::string text;
  for (size_t i = 0; i < cores_.size();) {
    size_t last = i;
    while (last + 1 < cores_.size() && cores_[last + 1] == cores_[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(cores_[i]);
    if (last > i) text += '-' + std::to_string(cores_[last]);
    i = last + 1;
  }
  return text;
}

Result<void> CoreSet::confine_this_thread() const {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const unsigned core : cores_) CPU_SET(core, &mask);
  if (const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof mask, &mask)) {
    return fail_errno("cannot confine a thread to the cores '" + text() + "'", error);
  }
  return {};
}

}  // namespace thaw
