// SPDX-License-Identifier: Apache-2.0
#include "thaw/testing/faulty_store.h"

#include <algorithm>
#include <numeric>
#include <sstream>
#include <thread>
#include <utility>

namespace thaw {
namespace {

/// A number in [0, 1) of 53 random bits: the distributions of the standard library differ between
/// implementations, and a seed has to mean the same everywhere.
double unit(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1.0p-53; }

}  // namespace

const char* to_string(StoreOperation operation) {
  switch (operation) {
    case StoreOperation::kPut:
      return "put";
    case StoreOperation::kReplace:
      return "replace";
    case StoreOperation::kGet:
      return "get";
    case StoreOperation::kExists:
      return "exists";
    case StoreOperation::kRemove:
      return "remove";
    case StoreOperation::kList:
      return "list";
  }
  return "unknown";
}

std::string FaultPlan::describe() const {
  std::ostringstream text;
  text << "fault plan: seed " << seed;
  const std::pair<const char*, double> rates[] = {{"error", error_rate},
                                                  {"lost answer", lost_answer_rate},
                                                  {"partial put", partial_put_rate},
                                                  {"truncate", truncate_rate},
                                                  {"flip", flip_rate},
                                                  {"swap", swap_rate},
                                                  {"delay", delay_rate}};
  for (const auto& [name, rate] : rates) {
    if (rate > 0) text << ", " << name << ' ' << rate;
  }
  if (fail_nth)
    text << ", call " << *fail_nth << (fail_from_then_on ? " and later fail" : " fails");
  for (const StoreOperation operation : only) text << ", errors of " << to_string(operation);
  return text.str();
}

uint64_t FaultCounts::total_calls() const {
  return std::accumulate(calls.begin(), calls.end(), uint64_t{0});
}

FaultyStore::FaultyStore(ObjectStore& inner, FaultPlan plan) : inner_(inner) {
  set_plan(std::move(plan));
}

void FaultyStore::set_plan(FaultPlan plan) {
  state_.with([&](State& state) {
    state.random.seed(plan.seed);
    state.calls_of_plan = 0;
    state.plan = std::move(plan);
  });
}

FaultCounts FaultyStore::counts() const {
  return state_.with([](const State& state) { return state.counts; });
}

std::string FaultyStore::describe() const {
  return inner_.describe() + " with " +
         state_.with([](const State& state) { return state.plan.describe(); });
}

FaultyStore::Fate FaultyStore::draw(StoreOperation operation, const std::string& key) const {
  std::chrono::microseconds delay{0};
  Fate fate = state_.with([&](State& state) {
    const FaultPlan& plan = state.plan;
    const uint64_t call = state.calls_of_plan++;
    ++state.counts.calls[static_cast<size_t>(operation)];
    // Every call draws the same number of times, so that what one call does with its fate does not
    // shift the fates of the others.
    const double error = unit(state.random);
    const double corruption = unit(state.random);
    const double delayed = unit(state.random);
    const double delay_part = unit(state.random);
    Fate drawn;
    drawn.random = state.random();

    const bool concerned = plan.only.empty() || std::find(plan.only.begin(), plan.only.end(),
                                                          operation) != plan.only.end();
    const bool is_nth =
        plan.fail_nth && (plan.fail_from_then_on ? call >= *plan.fail_nth : call == *plan.fail_nth);
    const bool writes = operation == StoreOperation::kPut || operation == StoreOperation::kReplace;
    if (concerned) {
      const double lost = plan.error_rate + (writes ? plan.lost_answer_rate : 0);
      const double partial = lost + (operation == StoreOperation::kPut ? plan.partial_put_rate : 0);
      if (is_nth || error < plan.error_rate) {
        drawn.failure = Failure::kBefore;
      } else if (error < lost) {
        drawn.failure = Failure::kAfter;
      } else if (error < partial) {
        drawn.failure = Failure::kPartial;
      }
    }
    if (drawn.failure != Failure::kNone) ++state.counts.errors;
    if (operation == StoreOperation::kGet && drawn.failure == Failure::kNone) {
      if (corruption < plan.truncate_rate) {
        drawn.corruption = Corruption::kTruncate;
      } else if (corruption < plan.truncate_rate + plan.flip_rate) {
        drawn.corruption = Corruption::kFlip;
      } else if (corruption < plan.truncate_rate + plan.flip_rate + plan.swap_rate) {
        drawn.corruption = Corruption::kSwap;
      }
    }
    if (delayed < plan.delay_rate) {
      ++state.counts.delays;
      delay = std::chrono::microseconds(
          static_cast<int64_t>(delay_part * static_cast<double>(plan.delay_max.count())));
    }
    drawn.error = plan.error;
    drawn.message = std::string("planned fault: ") + to_string(operation) + " of " + key +
                    ", call " + std::to_string(call) + ", seed " + std::to_string(plan.seed);
    return drawn;
  });
  if (delay.count() > 0) std::this_thread::sleep_for(delay);
  return fate;
}

void FaultyStore::count_corruption() const {
  state_.with([](State& state) { ++state.counts.corruptions; });
}

Result<std::optional<std::string>> FaultyStore::other_key(const std::string& key, uint64_t random,
                                                          std::optional<uint64_t> bytes) const {
  std::vector<std::string> others;
  TRY(inner_.list("", [&](const std::string& other, uint64_t other_bytes) -> Result<void> {
    if (other != key && (!bytes || *bytes == other_bytes)) others.push_back(other);
    return {};
  }));
  if (others.empty()) return std::nullopt;
  return others[random % others.size()];
}

Result<std::vector<PutOutcome>> FaultyStore::put_if_absent(std::span<const PutRequest> requests) {
  const Fate fate = draw(StoreOperation::kPut, requests.empty() ? "nothing" : requests[0].key);
  if (fate.failure == Failure::kBefore) return fail(fate.error, fate.message);
  if (fate.failure == Failure::kPartial) {
    const size_t count = requests.empty() ? 0 : fate.random % requests.size();
    TRY(inner_.put_if_absent(requests.first(count)));
    return fail(fate.error, fate.message + ", after " + std::to_string(count) + " of " +
                                std::to_string(requests.size()));
  }
  Result<std::vector<PutOutcome>> outcomes = inner_.put_if_absent(requests);
  if (fate.failure == Failure::kAfter)
    return fail(fate.error, fate.message + ", after it was done");
  return outcomes;
}

Result<void> FaultyStore::replace(const std::string& key, ByteSpan data) {
  const Fate fate = draw(StoreOperation::kReplace, key);
  if (fate.failure == Failure::kBefore) return fail(fate.error, fate.message);
  TRY(inner_.replace(key, data));
  if (fate.failure == Failure::kAfter)
    return fail(fate.error, fate.message + ", after it was done");
  return {};
}

Result<Bytes> FaultyStore::get(const std::string& key, uint64_t bytes_max) const {
  const Fate fate = draw(StoreOperation::kGet, key);
  if (fate.failure != Failure::kNone) return fail(fate.error, fate.message);
  ASSIGN_OR_RETURN(Bytes bytes, inner_.get(key, bytes_max));
  if (fate.corruption == Corruption::kSwap) {
    ASSIGN_OR_RETURN(const auto other, other_key(key, fate.random, std::nullopt));
    if (!other) return bytes;
    count_corruption();
    return inner_.get(*other, bytes_max);
  }
  if (fate.corruption == Corruption::kNone || bytes.empty()) return bytes;
  count_corruption();
  if (fate.corruption == Corruption::kTruncate) {
    bytes.resize(fate.random % bytes.size());
  } else {
    const uint64_t bit = fate.random % (bytes.size() * 8);
    bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  }
  return bytes;
}

Result<void> FaultyStore::get_into(const std::string& key, MutableByteSpan out) const {
  return read(key, out, [&](const std::string& from) { return inner_.get_into(from, out); });
}

Result<void> FaultyStore::get_range(const std::string& key, uint64_t offset,
                                    MutableByteSpan out) const {
  return read(key, out,
              [&](const std::string& from) { return inner_.get_range(from, offset, out); });
}

Result<void> FaultyStore::read(
    const std::string& key, MutableByteSpan out,
    const std::function<Result<void>(const std::string& key)>& inner_read) const {
  const Fate fate = draw(StoreOperation::kGet, key);
  if (fate.failure != Failure::kNone) return fail(fate.error, fate.message);
  TRY(inner_read(key));
  if (fate.corruption == Corruption::kSwap) {
    ASSIGN_OR_RETURN(const auto other, other_key(key, fate.random, out.size()));
    if (!other) return {};
    count_corruption();
    return inner_read(*other);
  }
  if (fate.corruption == Corruption::kNone || out.empty()) return {};
  count_corruption();
  if (fate.corruption == Corruption::kTruncate) {
    return fail(ErrorCode::kCorrupt, key + " has " + std::to_string(fate.random % out.size()) +
                                         " bytes; " + std::to_string(out.size()) +
                                         " were expected (" + fate.message + ")");
  }
  const uint64_t bit = fate.random % (out.size() * 8);
  out[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
  return {};
}

Result<bool> FaultyStore::exists(const std::string& key) const {
  const Fate fate = draw(StoreOperation::kExists, key);
  if (fate.failure != Failure::kNone) return fail(fate.error, fate.message);
  return inner_.exists(key);
}

Result<void> FaultyStore::remove(const std::string& key) {
  const Fate fate = draw(StoreOperation::kRemove, key);
  if (fate.failure != Failure::kNone) return fail(fate.error, fate.message);
  return inner_.remove(key);
}

Result<void> FaultyStore::list(const std::string& prefix, const Visit& visit) const {
  const Fate fate = draw(StoreOperation::kList, prefix.empty() ? "everything" : prefix);
  if (fate.failure != Failure::kNone) return fail(fate.error, fate.message);
  return inner_.list(prefix, visit);
}

}  // namespace thaw
