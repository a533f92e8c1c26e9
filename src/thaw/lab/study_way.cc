// SPDX-License-Identifier: Apache-2.0
#include <optional>

#include "thaw/base/check.h"
#include "thaw/base/latency_shape.h"
#include "thaw/lab/resume_way.h"

namespace thaw {
namespace {

StudyFileOptions file_options(const Cell& cell) {
  StudyFileOptions options;
  options.encrypted =
      cell.storage == LabStorage::kEncrypted || cell.storage == LabStorage::kChunkedEncrypted;
  const bool chunked =
      cell.storage == LabStorage::kChunked || cell.storage == LabStorage::kChunkedEncrypted;
  options.chunk_bytes = chunked ? cell.chunk_bytes : 0;
  return options;
}

StudyAhead ahead_of(Technique technique) {
  switch (technique) {
    case Technique::kStudyReap:
      return StudyAhead::kReap;
    case Technique::kStudyFaasnap:
      return StudyAhead::kFaasnap;
    default:
      return StudyAhead::kNothing;
  }
}

std::optional<LatencyShape> shape_of(LabTier tier) {
  switch (tier) {
    case LabTier::kZone:
      return latency_preset("zone");
    case LabTier::kOrigin:
      return latency_preset("origin");
    default:
      return std::nullopt;
  }
}

class StudyWay final : public ResumeWay {
 public:
  StudyWay(const WayContext& context, std::vector<StudyServer*> servers)
      : context_(context), servers_(std::move(servers)), runs_(servers_.size()) {}

  Result<GuestReport> resume(uint64_t clone) override {
    ASSIGN_OR_RETURN(ServedGuest guest, context_.guests.start_served(clone));
    TRY(guest.greet());
    const StudyServer::Way way{.ahead = ahead_of(context_.cell.technique),
                               .shape = shape_of(context_.cell.tier),
                               .seed = context_.seed + clone};
    TRY(guest.guest->proceed());
    ASSIGN_OR_RETURN(runs_[clone], servers_[clone]->serve(guest.vmm, way));
    return guest.guest->wait();
  }

  void add_costs(Measurement& measurement) const override {
    StudyCost cost;
    for (const StudyRun& run : runs_) {
      cost += run.image;
      cost += run.compact;
      measurement.faults += run.faults;
      measurement.install_ns += run.install_ns;
    }
    measurement.requests += cost.requests;
    measurement.fetch_ns += cost.fetch_ns;
    measurement.verify_ns += cost.verify_ns;
    measurement.decrypt_ns += cost.decrypt_ns;
    switch (context_.cell.tier) {
      case LabTier::kZone:
        measurement.zone_bytes += cost.bytes;
        break;
      case LabTier::kOrigin:
        measurement.origin_bytes += cost.bytes;
        break;
      default:
        measurement.local_bytes += cost.bytes;
    }
  }

 private:
  const WayContext context_;
  const std::vector<StudyServer*> servers_;
  std::vector<StudyRun> runs_;  // each clone's own
};

}  // namespace

Result<std::unique_ptr<ResumeWay>> make_study_way(const WayContext& context, StudyServers& servers,
                                                  const std::string& working_path) {
  const StudyFileOptions file = file_options(context.cell);
  const std::string form = axis_value(context.cell, "storage") +
                           (file.chunk_bytes > 0 ? "-" + std::to_string(file.chunk_bytes) : "");
  std::vector<StudyServer*> chosen;
  for (uint64_t clone = 0; clone < context.snapshots.size(); ++clone) {
    const FunctionSnapshot& snapshot = *context.snapshots[clone];
    const std::string name = snapshot.name(Layout::kHot) + "-" + form + "-" + std::to_string(clone);
    std::unique_ptr<StudyServer>& server = servers[working_path + name];
    if (server == nullptr) {
      ASSIGN_OR_RETURN(StudyServer made, StudyServer::make({.memory = snapshot.layers(),
                                                            .working_path = working_path + name,
                                                            .file = file},
                                                           snapshot.trace().recorded));
      server = std::make_unique<StudyServer>(std::move(made));
    }
    chosen.push_back(server.get());
  }
  return std::make_unique<StudyWay>(context, std::move(chosen));
}

}  // namespace thaw
