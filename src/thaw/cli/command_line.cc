// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "thaw/cli/amount_text.h"
#include "thaw/cli/completion.h"
#include "thaw/cli/output.h"
#include "thaw/cli/verbs.h"

namespace thaw {
namespace {

constexpr char kVersion[] = "thaw " THAW_VERSION;
/// Type names are shown by --help and tell the completion what to offer.
constexpr char kFileType[] = "FILE";
constexpr char kDirectoryType[] = "DIR";
constexpr char kSnapshotType[] = "SNAPSHOT";
constexpr char kDiskType[] = "NAME=FILE";

/// In a list of verbs only the first sentence stands; in a verb's own help lines are wrapped.
class HelpText final : public CLI::Formatter {
 public:
  HelpText() { column_width(26); }
  std::string make_subcommand(const CLI::App* verb) const override {
    std::string text = verb->get_description();
    text.erase(std::min(text.find(". "), text.size()));
    if (text.ends_with('.')) text.pop_back();
    std::ostringstream out;
    CLI::detail::format_help(out, verb->get_display_name(true), text, get_column_width());
    return out.str();
  }
  std::string make_description(const CLI::App* app) const override {
    constexpr size_t kColumns = 80;
    std::istringstream words(app->get_description());
    std::string text;
    size_t column = 0;
    for (std::string word; words >> word; column += word.size() + 1) {
      if (column + word.size() > kColumns) column = 0;
      if (!text.empty()) text += column == 0 ? "\n" : " ";
      text += word;
    }
    return text + "\n";
  }
};

/// What a verb does once everything is parsed.
using Action = std::function<Result<void>(const Settings&, Output&)>;

class CommandLine {
 public:
  CommandLine() : app_("Encrypted, chunked snapshots of microVMs, served page by page.", "thaw") {
    app_.set_version_flag("--version", kVersion, "Print the version and exit");
    app_.formatter(std::make_shared<HelpText>());  // verbs take it over
    app_.require_subcommand(1);
    app_.footer(
        footer("  thaw init --store dir:/var/lib/thaw\n"
               "  thaw freeze web --memory memory.bin --vmstate vm.state\n"
               "  thaw restore web --uffd /run/web.uffd\n"
               "Each verb has its own --help."));
    add_globals(app_);
    add_init();
    add_key();
    add_freeze();
    add_relayout();
    add_pack();
    add_ls();
    add_show();
    add_verify();
    add_export();
    add_rm();
    add_restore();
    add_record();
    add_mount();
    add_tier();
    add_warm();
    add_scrub();
    add_doctor();
    add_completion();
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  CLI::App& app() { return app_; }
  const GlobalOptions& globals() const { return globals_; }

  /// Runs the verb that was parsed.
  Result<void> run(const Environment& environment, Output& out) const {
    const Result<Settings> settings = resolve_settings(globals_, environment);
    if (examine_) return run_doctor(settings, out);
    if (!settings) return fail(settings.error());
    return action_(*settings, out);
  }

  bool wants_completion() const { return complete_; }
  std::string completion() const {
    std::vector<CompletionCommand> commands;
    describe(app_, "", commands);
    return bash_completion(commands);
  }

 private:
  static std::string footer(const std::string& example) {
    return "Example:\n" + example + "\n\n" + exit_codes_help();
  }

  CLI::App& add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                     const std::string& example, Action action) {
    CLI::App& verb = *parent.add_subcommand(name, description);
    verb.footer(footer(example));
    add_globals(verb);
    verb.callback([this, action = std::move(action)] { action_ = action; });
    return verb;
  }

  void add_globals(CLI::App& app) {
    const std::string group = "Options of every verb";
    app.add_option(
           "--store", globals_.store,
           "Where the snapshots are: dir:PATH or s3://BUCKET/PREFIX. Else $THAW_STORE, else the "
           "config")
        ->type_name("ADDRESS")
        ->group(group);
    app.add_option("--tenant", globals_.tenant,
                   std::string("Whose snapshots. Else $THAW_TENANT, else the config, else ") +
                       kDefaultTenant)
        ->type_name("NAME")
        ->group(group);
    app.add_option(
           "--keyring", globals_.keyring,
           std::string("Directory of the keys. Else $THAW_KEYRING, else the config, else ") +
               kDefaultKeyring)
        ->type_name(kDirectoryType)
        ->group(group);
    app.add_option("--config", globals_.config,
                   std::string("Config file. Else $THAW_CONFIG, else ") + kDefaultConfig +
                       " if there is one")
        ->type_name(kFileType)
        ->group(group);
    app.add_flag("--json", globals_.json,
                 "One JSON object on standard output (serving verbs: one a line)")
        ->group(group);
    const std::map<std::string, LogLevel> levels{{"debug", LogLevel::kDebug},
                                                 {"info", LogLevel::kInfo},
                                                 {"warning", LogLevel::kWarning},
                                                 {"error", LogLevel::kError},
                                                 {"off", LogLevel::kOff}};
    app.add_option_function<std::string>(
           "--log-level",
           [this, levels](const std::string& word) { globals_.log_level = levels.at(word); },
           "What is logged on standard error; default warning")
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}))
        ->group(group);
  }

  /// A whole number in decimal.
  template <typename Number, typename Out>
  static void add_count(CLI::App& app, const std::string& name, Out& out, uint64_t least,
                        uint64_t most, const std::string& help) {
    app.add_option_function<std::string>(
           name,
           [&out, least, most, name](const std::string& text) {
             const Result<uint64_t> count = parse_count(text, least, most);
             if (!count) throw CLI::ValidationError(name, count.error().message);
             out = static_cast<Number>(*count);
           },
           help)
        ->type_name("N");
  }
  static void add_threads(CLI::App& app, std::optional<uint64_t>& out, const std::string& work) {
    add_count<uint64_t>(app, "--threads", out, 0, kConfigThreadsMax,
                        "Threads that " + work + "; 0: by the cores. Else the config");
  }

  static CLI::Option* add_share(CLI::App& app, std::optional<double>& out) {
    return app
        .add_option("--share", out,
                    "Pages that at least this share of the recordings have; default 0.5, 0: all")
        ->type_name("SHARE")
        ->check(CLI::Range(0.0, 1.0));
  }

  /// A file that is written or read.
  static CLI::Option* add_file(CLI::App& app, const std::string& name, std::string& out,
                               const std::string& help) {
    return app
        .add_option_function<std::string>(
            name,
            [&out, name](const std::string& text) {
              if (text.empty()) throw CLI::ValidationError(name, "needs a path, not an empty text");
              out = text;
            },
            help)
        ->type_name(kFileType);
  }
  static void add_disks(CLI::App& app, std::vector<std::string>& out, const std::string& help) {
    app.add_option("--disk", out, help)->type_name(kDiskType)->allow_extra_args(false);
  }
  static void add_snapshot(CLI::App& app, std::string& out, const std::string& help) {
    app.add_option("NAME", out, help)->required()->type_name(kSnapshotType);
  }

  void add_init() {
    add_verb(app_, "init",
             "Make the store, and the tenant's key if it has none. Repeating it changes nothing.",
             "  thaw init --store dir:/var/lib/thaw --keyring /etc/thaw/keys", run_init);
  }

  void add_key() {
    CLI::App& key = *app_.add_subcommand("key",
                                         "Manage master keys of tenants. They wrap the keys of "
                                         "snapshots and never leave the keyring.");
    key.require_subcommand(1);
    key.footer(footer("  thaw key rotate --tenant default"));
    add_globals(key);
    add_verb(key, "create", "Make a keyring for the tenant: a master key and a domain secret.",
             "  thaw key create --tenant acme --keyring /etc/thaw/keys", run_key_create);
    add_verb(key, "list", "List the tenants that have a keyring, and their keys' ages.",
             "  thaw key list --keyring /etc/thaw/keys", run_key_list);
    CLI::App& rotate = add_verb(
        key, "rotate",
        "Make a new master key and put every manifest of the tenant in the store under it. Chunks "
        "are not touched. Interrupted, it leaves everything readable: --rewrap-only completes it. "
        "The old key stays until `thaw key drop-retired`. Do not freeze with --replace meanwhile.",
        "  thaw key rotate --tenant acme --store dir:/var/lib/thaw",
        [this](const Settings& s, Output& o) { return run_key_rotate(s, rotate_, o); });
    rotate.add_flag("--rewrap-only", rotate_.rewrap_only,
                    "Make no key; put under the active one what is not yet");
    add_verb(
        key, "drop-retired",
        "Forget the retired master keys. Refused while a manifest in the store needs one; look "
        "after other stores of the tenant, and processes that still run with an old key, "
        "yourself.",
        "  thaw key drop-retired --tenant acme --store dir:/var/lib/thaw", run_key_drop_retired);
  }

  void add_freeze() {
    CLI::App& verb = add_verb(
        app_, "freeze",
        "Make a snapshot from the files that a VMM wrote. The VM must be paused. Chunks that the "
        "store has are not written again; holes and zero pages cost nothing.",
        "  thaw freeze web --memory memory.bin --vmstate vm.state --disk root=root.ext4",
        [this](const Settings& s, Output& o) { return run_freeze(s, freeze_, o); });
    add_snapshot(verb, freeze_.name, "The snapshot's name");
    add_file(verb, "--memory", freeze_.memory, "Guest memory, a whole number of pages");
    add_file(verb, "--vmstate", freeze_.vmstate, "The VMM's device state");
    add_disks(verb, freeze_.disks, "A disk image; may be repeated");
    verb.add_option_function<std::string>(
            "--chunk-size",
            [this](const std::string& text) {
              const Result<uint64_t> bytes = parse_size(text);
              if (!bytes) throw CLI::ValidationError("--chunk-size", bytes.error().message);
              freeze_.chunk_bytes = *bytes;
            },
            "A power of two from 16KiB to 4MiB; default 512KiB")
        ->type_name("SIZE");
    add_threads(verb, freeze_.threads, "read and seal");
    add_freeze_layout(verb);
    add_freeze_child(verb);
    verb.add_flag("--replace", freeze_.replace, "Take the name over if it is taken");
    verb.add_flag("--prime-zone", freeze_.prime_zone,
                  "Then fill the zone's cache servers with it, as `thaw warm --zone` does");
    verb.add_option("--annotate", freeze_.annotations,
                    "A note kept in the snapshot; may be repeated")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
  }

  void add_freeze_layout(CLI::App& verb) {
    const std::string group = "Layout";
    verb.add_option("--working-set", freeze_.working_set,
                    "Lay the memory out hot at once, by what was recorded with this snapshot of "
                    "the same function and memory size")
        ->type_name(kSnapshotType)
        ->group(group);
    add_share(verb, freeze_.share)->group(group);
    verb.add_flag("--page-digests", freeze_.page_digests,
                  "Keep a digest of each page, so that a child can be frozen from a full memory "
                  "without reading this snapshot. Else the config")
        ->group(group);
  }

  void add_freeze_child(CLI::App& verb) {
    const std::string group = "A snapshot from an earlier one";
    verb.add_option("--parent", freeze_.parent,
                    "What did not change since this snapshot is taken from it. With --diff, with "
                    "--memory (compared page by page) or with --live. Disks that are not given are "
                    "the parent's")
        ->type_name(kSnapshotType)
        ->group(group);
    add_file(verb, "--diff", freeze_.diff,
             "A diff of the memory as Firecracker writes it: holes are unchanged pages")
        ->group(group);
    verb.add_option("--writer", freeze_.writer,
                    "Who wrote the diff, for instance firecracker-1.14.2; some versions write "
                    "broken diffs of memories above 3 GiB")
        ->type_name("NAME")
        ->group(group);
    verb.add_option_function<std::string>(
            "--live",
            [this](const std::string& text) {
              const Result<uint64_t> pid = parse_count(text, 1, INT32_MAX);
              if (!pid) throw CLI::ValidationError("--live", pid.error().message);
              freeze_.live_pid = *pid;
            },
            "Read the memory from this VMM's process; the VM must be paused")
        ->type_name("PID")
        ->group(group);
    verb.add_option("--region", freeze_.regions,
                    "Where a part of the memory is in that process; may be repeated")
        ->type_name("ADDRESS:BYTES:OFFSET")
        ->allow_extra_args(false)
        ->group(group);
    verb.add_flag("--no-balloon", freeze_.no_balloon,
                  "That VM gives no memory back (no balloon, no free page reporting), so what its "
                  "userfault memory lacks is the parent's")
        ->group(group);
  }

  void add_pack() {
    CLI::App& verb = add_verb(
        app_, "pack",
        "Copy a snapshot's recorded pages into chunks of their own, as some restore strategies "
        "want them. Reap: in order of first touch. Faasnap: in groups of 1,024 pages by first "
        "touch, sorted by address, small gaps filled. Replaces the pack of that kind.",
        "  thaw pack web --kind reap",
        [this](const Settings& s, Output& o) { return run_pack(s, pack_, o); });
    add_snapshot(verb, pack_.name, "The snapshot");
    verb.add_option_function<std::string>(
            "--kind",
            [this](const std::string& word) {
              pack_.kind = word == "reap" ? PackKind::kReap : PackKind::kFaasnap;
            },
            "For which strategy; default reap")
        ->check(CLI::IsMember({"reap", "faasnap"}));
    add_count<uint64_t>(verb, "--gap", pack_.gap_pages, 0, 1024,
                        "Faasnap: fill gaps of up to so many pages; default 0, as for remote "
                        "storage; 32 was published for a local disk");
    add_share(verb, pack_.share);
    add_threads(verb, pack_.threads, "read and seal");
  }

  void add_relayout() {
    CLI::App& verb = add_verb(
        app_, "relayout",
        "Lay out a snapshot's memory anew. Hot: the recorded working set first, in stages of first "
        "touch, so that a resume reads little else. Linear: back to the order of address. Writes "
        "only chunks that changed; the old manifest stays until it is collected, and the name "
        "moves at the end. Says what it costs in sharing with other snapshots.",
        "  thaw record web --uffd /run/web.uffd\n"
        "  thaw relayout web --layout hot",
        [this](const Settings& s, Output& o) { return run_relayout(s, relayout_, o); });
    add_snapshot(verb, relayout_.name, "The snapshot");
    verb.add_option_function<std::string>(
            "--layout",
            [this](const std::string& word) {
              relayout_.layout = word == "hot" ? Layout::kHot : Layout::kLinear;
            },
            "Which; default hot")
        ->check(CLI::IsMember({"hot", "linear"}));
    add_share(verb, relayout_.share);
    add_threads(verb, relayout_.threads, "read and seal");
  }

  void add_ls() {
    CLI::App& verb =
        add_verb(app_, "ls", "List the tenant's snapshots. Without --long no key is needed.",
                 "  thaw ls --long web-",
                 [this](const Settings& s, Output& o) { return run_ls(s, ls_, o); });
    verb.add_option("PREFIX", ls_.prefix, "Only names that begin so")->type_name(kSnapshotType);
    CLI::Option* long_form = verb.add_flag("-l,--long", ls_.long_form,
                                           "Also sizes, chunks and time, from the manifests");
    verb.add_flag("-q,--quiet", ls_.quiet, "Names only, one a line")->excludes(long_form);
  }

  void add_show() {
    CLI::App& verb =
        add_verb(app_, "show", "Show what a snapshot is made of. Reads its manifest, no chunk.",
                 "  thaw show web --shared",
                 [this](const Settings& s, Output& o) { return run_show(s, show_, o); });
    add_snapshot(verb, show_.name, "The snapshot");
    verb.add_flag("--shared", show_.shared,
                  "Also what it shares with the tenant's other snapshots; reads their manifests");
    verb.add_flag("--working-set", show_.working_set,
                  "Also what was recorded: pages, runs, chunks, and how the recordings overlap");
    add_file(verb, "--trace", show_.trace, "Write a recording there as a page trace");
    add_count<uint32_t>(verb, "--recording", show_.recording, 1, kRecordingsMax,
                        "Which recording --trace writes, 1 the oldest. Default the newest");
  }

  void add_verify() {
    CLI::App& verb = add_verb(
        app_, "verify",
        "Prove that snapshots are whole. Every chunk is fetched and hashed, every manifest opened. "
        "Names the first object that is damaged; exit code 5 then.",
        "  thaw verify web\n  thaw verify --all --keep-going",
        [this](const Settings& s, Output& o) { return run_verify(s, verify_, o); });
    verb.add_option("NAME", verify_.names, "Snapshots")->type_name(kSnapshotType);
    verb.add_flag("--all", verify_.all, "All snapshots of the tenant; shared chunks once");
    verb.add_flag("--keep-going", verify_.keep_going, "Look for more damage after the first");
    add_threads(verb, verify_.threads, "fetch and hash");
  }

  void add_export() {
    CLI::App& verb = add_verb(
        app_, "export",
        "Write images of a snapshot as plain files, byte for byte, zero pages as holes. A file "
        "appears whole or not at all.",
        "  thaw export web --memory memory.bin --disk root=root.ext4",
        [this](const Settings& s, Output& o) { return run_export(s, export_, o); });
    add_snapshot(verb, export_.name, "The snapshot");
    add_file(verb, "--memory", export_.memory, "Write guest memory there");
    add_file(verb, "--vmstate", export_.vmstate, "Write the device state there");
    add_disks(verb, export_.disks, "Write the disk of that name there; may be repeated");
    verb.add_flag("--overwrite", export_.overwrite, "Replace a regular file that is there");
    add_threads(verb, export_.threads, "fetch and decrypt");
  }

  void add_rm() {
    CLI::App& verb = add_verb(
        app_, "rm",
        "Remove a snapshot's name. Its chunks stay in the store until they are collected.",
        "  thaw rm web", [this](const Settings& s, Output& o) { return run_rm(s, rm_, o); });
    add_snapshot(verb, rm_.name, "The snapshot");
  }

  void add_restore() {
    CLI::App& verb = add_verb(
        app_, "restore",
        "Serve a snapshot's memory to VMMs through userfaultfd, in Firecracker's protocol. Says "
        "when it listens, when a session starts, and how it ended. Ends after --sessions, or on "
        "SIGINT or SIGTERM, which end VMMs whose memory is not complete and count as success. The "
        "exit code is not 0 if a session failed.",
        "  thaw restore web --uffd /run/web.uffd --vmstate /run/web.state\n"
        "then load the snapshot with mem_backend {backend_type: Uffd, backend_path: /run/web.uffd}",
        [this](const Settings& s, Output& o) { return run_restore(s, restore_, o); });
    add_snapshot(verb, restore_.name, "The snapshot");
    add_file(verb, "--uffd", restore_.uffd, "Listen on this Unix socket")->required();
    verb.add_option("--strategy", restore_.strategy,
                    "What is loaded ahead of the guest. on-demand: nothing; reap: the recorded "
                    "pages, before the guest runs; faasnap: the same in groups, while it runs; "
                    "chunks: the recorded chunks in order of first access; hot: the hot chunks of "
                    "a snapshot that was laid out for it. auto, the default: hot, else chunks, "
                    "else on-demand, by what the snapshot has")
        ->check(CLI::IsMember({"auto", "on-demand", "reap", "faasnap", "chunks", "hot"}));
    verb.add_option("--prefault", restore_.prefault,
                    "none: only what the strategy loads and the guest touches; all: then "
                    "everything else, after which the VM needs nobody. Default none")
        ->check(CLI::IsMember({"none", "all"}));
    verb.add_option("--fill", restore_.fill,
                    "What a fault installs. page: its page; around: and its neighbours, 64 KiB; "
                    "chunk: all of its chunk. auto, the default: chunk where nothing is loaded "
                    "ahead, else around")
        ->check(CLI::IsMember({"auto", "page", "around", "chunk"}));
    add_count<uint64_t>(verb, "--sessions", restore_.sessions, 0, 1'000'000'000,
                        "End after so many VMMs; 0: serve until a signal. Default 1");
    add_count<uint64_t>(
        verb, "--clones", restore_.clones, 1, 1'000'000'000,
        "Instead of --sessions, for so many VMMs of one snapshot: what the strategy "
        "loads is kept as plaintext once the first has decrypted it, in memory that "
        "is out of core dumps, locked, and wiped at the end");
    verb.add_option(
            "--placement", restore_.placement,
            "Where the thread that takes the faults runs. none: anywhere; cores: on those of "
            "--fault-cores; follow: on the core of the thread that faults, else as cores. "
            "auto, the default: cores if there are some, else follow")
        ->check(CLI::IsMember({"auto", "none", "cores", "follow"}));
    verb.add_option(
            "--fault-cores,--fault-core", restore_.fault_cores,
            "Cores for that thread, best the vCPUs': 2,3 or 2-5. The other threads keep off "
            "them if any core is left")
        ->type_name("CORES");
    add_file(verb, "--vmstate", restore_.vmstate, "Export the device state there first");
    verb.add_flag("--overwrite", restore_.overwrite, "Replace a vmstate file that is there");
    add_threads(verb, restore_.threads, "fetch, decrypt and install");
  }

  void add_record() {
    CLI::App& verb = add_verb(
        app_, "record",
        "Resume one VM and record which pages of its memory it touches, in order, so that later "
        "resumes load them ahead. Send SIGUSR1 to this process when the VM has done what it was "
        "resumed for, say its first response; or leave it to quiet or a limit. The recording is "
        "then written beside the snapshot, with those of former runs, and the VM is served until "
        "it ends. With --uffd it is served as by restore; with --mount the snapshot is a file as "
        "by mount, and reads are recorded. SIGINT and SIGTERM end all; before the recording has "
        "ended they abandon it.",
        "  thaw record web --uffd /run/web.uffd --vmstate /run/web.state\n"
        "  thaw record web --mount /mnt/thaw --quiet-ms 500",
        [this](const Settings& s, Output& o) { return run_record(s, record_, o); });
    add_snapshot(verb, record_.name, "The snapshot");
    add_file(verb, "--uffd", record_.uffd, "Listen on this Unix socket");
    verb.add_option("--mount", record_.mount, "Mount on this empty directory")
        ->type_name(kDirectoryType);
    add_count<uint32_t>(verb, "--quiet-ms", record_.quiet_ms, 0, 3'600'000,
                        "End when no new page came for so long after one; 0: never. Else the "
                        "config, else 0");
    add_count<uint64_t>(verb, "--limit-pages", record_.limit_pages, 1, kTouchesMax,
                        "End with so many pages");
    add_count<uint32_t>(verb, "--limit-s", record_.limit_s, 1, kRecordSecondsMax,
                        "End so long after the resume began. Else the config, else 60");
    verb.add_flag("--replace", record_.replace, "Forget the former recordings");
    add_file(verb, "--vmstate", record_.vmstate, "Export the device state there first");
    verb.add_flag("--overwrite", record_.overwrite, "Replace a vmstate file that is there");
  }

  void add_mount() {
    CLI::App& verb = add_verb(
        app_, "mount",
        "Mount the tenant's snapshots, read-only, in the foreground. The files are "
        "DIR/NAME/memory, "
        "DIR/NAME/vmstate, DIR/NAME/disks/DISK. Ends on SIGINT, SIGTERM or an unmount. Plaintext "
        "stays in the kernel's page cache while mounted.",
        "  thaw mount /mnt/thaw",
        [this](const Settings& s, Output& o) { return run_mount(s, mount_, o); });
    verb.add_option("DIR", mount_.directory, "An empty directory")
        ->required()
        ->type_name(kDirectoryType);
    verb.add_flag("--allow-other", mount_.allow_other, "Let every user read, not only this one");
    verb.add_flag("--isolate-writers", mount_.isolate_writers,
                  "A file opened for writing is not cached and cannot be mapped shared");
    add_count<uint64_t>(verb, "--threads", mount_.threads, 1, 256,
                        "Requests served at once. Else the config, else 8");
  }

  void add_tier() {
    CLI::App& tier = *app_.add_subcommand("tier", "Look at the tiers that chunks come from.");
    tier.require_subcommand(1);
    tier.footer(footer("  thaw tier status"));
    add_globals(tier);
    add_verb(tier, "status",
             "Show what is configured and whether it answers: memory, local disk, zone, origin. "
             "Changes nothing and disturbs no running process. Exit code 0 if the origin answers.",
             "  thaw tier status --json",
             [](const Settings& s, Output& o) { return run_tier_status(s, o); });
  }

  void add_warm() {
    CLI::App& verb = add_verb(
        app_, "warm",
        "Fill the tiers with a snapshot's chunks ahead of its first restore. Without an option all "
        "tiers that the config names. What is there already is not fetched again.",
        "  thaw warm web --zone",
        [this](const Settings& s, Output& o) { return run_warm(s, warm_, o); });
    add_snapshot(verb, warm_.name, "The snapshot");
    verb.add_flag("--local", warm_.local, "Fill this worker's disk cache");
    verb.add_flag("--zone", warm_.zone, "Fill the zone's cache servers");
  }

  void add_scrub() {
    CLI::App& verb = add_verb(
        app_, "scrub",
        "Verify what the tiers keep by name and drop what is damaged. The local disk: every slot; "
        "it "
        "must not be in use. The zone: every stripe of the tenant's snapshots; damaged and missing "
        "ones are rewritten where enough others are there. Without an option both.",
        "  thaw scrub --zone",
        [this](const Settings& s, Output& o) { return run_scrub(s, scrub_, o); });
    verb.add_flag("--local", scrub_.local, "This worker's disk cache only");
    verb.add_flag("--zone", scrub_.zone, "The zone's cache servers only");
  }

  void add_doctor() {
    CLI::App& verb = *app_.add_subcommand(
        "doctor",
        "Check the machine and the configuration: what was found and what to do. Exit code 1 if "
        "something fails; a warning is no failure.");
    verb.footer(footer("  thaw doctor --store dir:/var/lib/thaw"));
    add_globals(verb);
    verb.callback([this] { examine_ = true; });
  }

  void add_completion() {
    CLI::App& verb = *app_.add_subcommand("completion", "Print a completion script for a shell.");
    verb.footer(footer("  source <(thaw completion bash)"));
    add_globals(verb);
    verb.add_option("SHELL", shell_, "The shell")->required()->check(CLI::IsMember({"bash"}));
    verb.callback([this] { complete_ = true; });
  }

  // The parser as the completion needs it.

  static ValueKind kind_of(const std::string& type) {
    if (type == kFileType) return ValueKind::kFile;
    if (type == kDirectoryType) return ValueKind::kDirectory;
    if (type == kDiskType) return ValueKind::kPairWithFile;
    if (type == kSnapshotType) return ValueKind::kSnapshot;
    return ValueKind::kAnything;
  }

  /// The members of "TEXT:{none,all}", as IsMember describes itself.
  static std::vector<std::string> choices_of(const std::string& type) {
    const size_t open = type.find('{');
    const size_t close = type.find('}');
    if (open == std::string::npos || close == std::string::npos) return {};
    return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
  }

  static void describe(const CLI::App& app, const std::string& path,
                       std::vector<CompletionCommand>& commands) {
    CompletionCommand command;
    command.path = path;
    for (const CLI::Option* option : app.get_options()) {
      const std::string type = option->get_type_name();
      if (option->get_positional()) {
        command.has_positional = true;
        command.positional = kind_of(type);
        command.positional_choices = choices_of(type);
        continue;
      }
      CompletionOption one;
      for (const std::string& name : option->get_lnames()) one.names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) one.names.push_back("-" + name);
      one.takes_value = option->get_expected_max() > 0;
      one.kind = kind_of(type);
      one.choices = choices_of(type);
      command.options.push_back(std::move(one));
    }
    std::vector<const CLI::App*> children =
        app.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* child : children) command.subcommands.push_back(child->get_name());
    commands.push_back(std::move(command));
    for (const CLI::App* child : children) {
      describe(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), commands);
    }
  }

  CLI::App app_;
  GlobalOptions globals_;
  KeyRotateRequest rotate_;
  FreezeRequest freeze_;
  RelayoutRequest relayout_;
  PackRequest pack_;
  LsRequest ls_;
  ShowRequest show_;
  VerifyRequest verify_;
  ExportRequest export_;
  RmRequest rm_;
  RestoreRequest restore_;
  RecordRequest record_;
  MountRequest mount_;
  WarmRequest warm_;
  ScrubRequest scrub_;
  std::string shell_;
  Action action_;
  bool examine_ = false;
  bool complete_ = false;
};

/// What CLI11 says when there is nothing to do, or nothing that it understands.
ExitCode answer_parse(const CLI::ParseError& error, const CLI::App& app, bool json, std::FILE* out,
                      std::FILE* err) {
  Output output(out, err, json && error.get_exit_code() != 0);
  if (error.get_exit_code() == 0) {
    std::ostringstream text;
    std::ostringstream ignored;
    app.exit(error, text, ignored);
    output.say(text.str());
    const Result<void> said = output.finish(nullptr);
    return said ? ExitCode::kOk : ExitCode::kFailed;
  }
  std::string verb = "thaw";
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    verb += " " + at->get_name();
  }
  const Error usage{ErrorCode::kInvalid, std::string(error.what()) + "; see `" + verb + " --help`"};
  if (!output.finish(&usage)) return ExitCode::kFailed;
  return ExitCode::kUsage;
}

}  // namespace

ExitCode run_command_line(std::vector<std::string> arguments, const Environment& environment,
                          std::FILE* out, std::FILE* err) {
  CommandLine line;
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the end
    line.app().parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return answer_parse(error, line.app(), json, out, err);
  }
  set_log_level(line.globals().log_level);
  Output output(out, err, line.globals().json && !line.wants_completion());
  Result<void> done;
  if (line.wants_completion()) {
    output.say(line.completion());
  } else {
    done = line.run(environment, output);
  }
  const Result<void> said = output.finish(done ? nullptr : &done.error());
  if (!done) return exit_code_for(done.error().code);
  if (!said) {
    std::fprintf(err, "thaw: %s\n", said.error().message.c_str());
    return exit_code_for(said.error().code);
  }
  return ExitCode::kOk;
}

}  // namespace thaw
