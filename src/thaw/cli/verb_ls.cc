// SPDX-License-Identifier: Apache-2.0
#include "thaw/base/name.h"
#include "thaw/cli/amount_text.h"
#include "thaw/cli/snapshot_shape.h"
#include "thaw/cli/text_table.h"
#include "thaw/cli/verbs.h"
#include "thaw/cli/workspace.h"

namespace thaw {
namespace {

constexpr size_t kShortIdDigits = 12;

class Listing {
 public:
  Listing(const Catalog& catalog, const KeyProvider* keys, const Settings& settings, Output& out)
      : catalog_(catalog), keys_(keys), settings_(settings), out_(out) {
    std::vector<std::string> head{"NAME", "ROOT", "MANIFEST"};
    if (keys_ != nullptr) head.insert(head.end(), {"SIZE", "STORED", "CHUNKS", "CREATED"});
    table_.add(std::move(head));
  }

  /// A snapshot that cannot be read has a row all the same; its error is kept.
  Result<void> add(const std::string& name) {
    const Result<NameTarget> target = catalog_.resolve(settings_.tenant, name);
    if (!target && target.error().code == ErrorCode::kNotFound) return {};  // removed meanwhile
    if (!target) return fail(target.error());
    const std::string id = target->manifest.hex();
    std::vector<std::string> row{name, std::to_string(target->root_id),
                                 id.substr(0, kShortIdDigits)};
    JsonObject object;
    object.set("name", name).set("root", target->root_id).set("manifest", id);
    if (keys_ != nullptr) add_details(name, row, object);
    table_.add(std::move(row));
    objects_.push_back(std::move(object));
    return {};
  }

  Result<void> finish() {
    out_.say(table_.text());
    out_.result().set("tenant", settings_.tenant).set("snapshots", objects_);
    if (error_) return fail(*error_);
    return {};
  }

 private:
  void add_details(const std::string& name, std::vector<std::string>& row, JsonObject& object) {
    const Result<OpenedSnapshot> snapshot = open_snapshot(catalog_, *keys_, name);
    if (!snapshot) {
      row.push_back(std::string("unreadable: ") + to_string(snapshot.error().code));
      object.set("error", to_string(snapshot.error().code));
      if (!error_) error_ = snapshot.error();
      return;
    }
    const SnapshotShape shape = shape_of(snapshot->manifest);
    const uint64_t stored = shape.stored_pages * kPageBytes;
    const size_t chunks = snapshot->manifest.clear.chunks.size();
    row.insert(row.end(), {human_bytes(shape.bytes), human_bytes(stored), std::to_string(chunks),
                           shape.created});
    object.set("bytes", shape.bytes)
        .set("stored_bytes", stored)
        .set("chunks", chunks)
        .set("created", shape.created);
  }

  const Catalog& catalog_;
  const KeyProvider* const keys_;  // nullptr: the short form
  const Settings& settings_;
  Output& out_;
  TextTable table_;
  std::vector<JsonObject> objects_;
  std::optional<Error> error_;
};

}  // namespace

Result<void> run_ls(const Settings& settings, const LsRequest& request, Output& out) {
  ASSIGN_OR_RETURN(const auto store, open_store(settings));
  const Catalog catalog(*store);
  // Fails where there is no store, rather than listing nothing.
  TRY(catalog.active_root());
  std::unique_ptr<KeyProvider> keys;
  if (request.long_form) {
    ASSIGN_OR_RETURN(keys, load_keys(settings));
  }
  ASSIGN_OR_RETURN(std::vector<std::string> names, catalog.names(settings.tenant));
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(request.prefix); });
  if (request.quiet) {
    for (const std::string& name : names) out.say(name + "\n");
    out.result().set("tenant", settings.tenant).set("names", names);
    return {};
  }
  Listing listing(catalog, keys.get(), settings, out);
  for (const std::string& name : names) TRY(listing.add(name));
  return listing.finish();
}

}  // namespace thaw
