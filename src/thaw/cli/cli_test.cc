// SPDX-License-Identifier: Apache-2.0
#include "thaw/cli/cli_test.h"

#include <sys/stat.h>

#include <filesystem>

namespace thaw {
namespace {

using testing::HasSubstr;

/// The chunk files of the store, sorted.
std::vector<std::string> chunk_files(const std::string& store) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store)) {
    const std::string path = entry.path();
    if (entry.is_regular_file() && path.find("/chunks/") != std::string::npos) {
      files.push_back(path);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void flip_byte(const std::string& path) {
  Bytes bytes = *read_file(path, kGiB);
  bytes[bytes.size() / 2] ^= std::byte{1};
  ASSERT_TRUE(replace_file(path, bytes, 0600));
}

TEST_F(CliTest, InitMakesStoreAndKeyAndMayBeRepeated) {
  const Json first = run_json({"init"});
  EXPECT_EQ(first["store"], "dir:" + store());
  EXPECT_EQ(first["store_created"], true);
  EXPECT_EQ(first["key_created"], true);
  EXPECT_EQ(first["root"], 1);
  const std::string key = text_of(keyring() + "/default.keyring");
  ASSERT_FALSE(key.empty());
  const Json second = run_json({"init"});
  EXPECT_EQ(second["store_created"], false);
  EXPECT_EQ(second["key_created"], false);
  EXPECT_EQ(text_of(keyring() + "/default.keyring"), key);
}

TEST_F(CliTest, FreezeLsShowTellTheSame) {
  freeze_web();
  const Json listed = run_json({"ls", "--long"});
  ASSERT_EQ(listed["snapshots"].size(), 1u);
  const Json& row = listed["snapshots"][0];
  const Json shown = run_json({"show", "web"});
  EXPECT_EQ(row["name"], "web");
  EXPECT_EQ(row["bytes"], 2048 * 4096 + 10'000 + 512 * 4096 + 777);
  for (const char* field : {"manifest", "root", "bytes", "stored_bytes", "chunks"}) {
    EXPECT_EQ(row[field], shown[field]) << field;
  }
  EXPECT_EQ(shown["layout"], "linear");
  EXPECT_EQ(shown["chunk_bytes"], 65536);
  EXPECT_EQ(shown["chunks"], chunk_files(store()).size());
  EXPECT_EQ(shown["annotations"]["kernel"], "6.1");
  EXPECT_EQ(shown["repeated_share"], 0.0);
  ASSERT_EQ(shown["images"].size(), 3u);
  const Json& memory = shown["images"][0];
  EXPECT_EQ(memory["kind"], "memory");
  EXPECT_EQ(memory["data_pages"], 86 * 8);  // 2048 pages: runs begin at 0, 24, ..., 2040
  EXPECT_EQ(memory["runs"], 86);
  EXPECT_EQ(memory["pages_per_run"], 8.0);
  EXPECT_NEAR(memory["zero_share"], 1 - 86 * 8 / 2048.0, 1e-9);
  EXPECT_EQ(shown["images"][1]["bytes"], 10'000);
  EXPECT_EQ(shown["images"][2]["name"], "root");
  const std::string manifest = shown["manifest"];
  EXPECT_EQ(shown["manifest_bytes"],
            std::filesystem::file_size(store() + "/0000000000000001/manifests/" + manifest));
}

TEST_F(CliTest, PeopleGetTables) {
  freeze_web();
  EXPECT_THAT(run({"ls"}).out, HasSubstr("NAME  ROOT  MANIFEST"));
  EXPECT_EQ(run({"ls", "--quiet"}).out, "web\n");
  EXPECT_EQ(run({"ls", "--quiet", "x"}).out, "");
  const std::string shown = run({"show", "web", "--shared"}).out;
  EXPECT_THAT(shown, HasSubstr("linear, chunks of 64.0 KiB"));
  EXPECT_THAT(shown, HasSubstr("PAGES/RUN"));
  EXPECT_THAT(shown, HasSubstr("kernel"));
  // No progress bar and no remarks where standard error is no terminal.
  EXPECT_EQ(run({"verify", "web"}).err, "");
}

TEST_F(CliTest, ShowCountsWhatIsSharedWithOthers) {
  freeze_web();
  ASSERT_EQ(run({"freeze", "twin", "--memory", file("memory"), "--chunk-size", "64KiB"}).exit_code,
            0);
  const Json twin = run_json({"show", "twin", "--shared"});
  EXPECT_EQ(twin["shared"]["snapshots"], 1);
  EXPECT_EQ(twin["shared"]["share"], 1.0);
  const Json web = run_json({"show", "web", "--shared"});
  EXPECT_EQ(web["shared"]["chunks"], twin["chunks"]);
  EXPECT_LT(web["shared"]["share"], 1.0);
}

TEST_F(CliTest, ExportIsByteIdenticalAndSparse) {
  freeze_web();
  const Json exported = run_json({"export", "web", "--memory", file("m"), "--vmstate", file("v"),
                                  "--disk", "root=" + file("d")});
  EXPECT_EQ(text_of(file("m")), text_of(file("memory")));
  EXPECT_EQ(text_of(file("v")), text_of(file("vmstate")));
  EXPECT_EQ(text_of(file("d")), text_of(file("root")));
  EXPECT_EQ(exported["files"][0]["bytes_written"], 86 * 8 * 4096);
  struct stat status{};
  ASSERT_EQ(::stat(file("m").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, status.st_size / 2);

  expect_error({"export", "web", "--memory", file("m")}, 4, "exists");
  run_json({"export", "web", "--memory", file("m"), "--overwrite"});
  EXPECT_THAT(expect_error({"export", "web", "--disk", "nix=" + file("n")}, 3, "not_found"),
              HasSubstr("\"nix\""));
  expect_error({"export", "web"}, 2, "invalid");
  expect_error({"export", "web", "--disk", "root"}, 2, "invalid");
}

TEST_F(CliTest, ATakenNameNeedsReplace) {
  freeze_web();
  const std::vector<std::string> again{"freeze", "web", "--memory", file("root2")};
  make_image("root2", 64, 0, 9);
  expect_error(again, 4, "exists");
  EXPECT_EQ(run_json({"show", "web"})["images"].size(), 3u);
  std::vector<std::string> replace = again;
  replace.push_back("--replace");
  run_json(replace);
  EXPECT_EQ(run_json({"show", "web"})["images"].size(), 1u);
}

TEST_F(CliTest, RmRemovesTheNameAndKeepsTheChunks) {
  freeze_web();
  const size_t chunks = chunk_files(store()).size();
  const Outcome removed = run({"rm", "web"});
  EXPECT_EQ(removed.exit_code, 0);
  EXPECT_THAT(removed.out, HasSubstr("chunks stay"));
  EXPECT_EQ(chunk_files(store()).size(), chunks);
  expect_error({"rm", "web"}, 3, "not_found");
  expect_error({"show", "web"}, 3, "not_found");
}

TEST_F(CliTest, VerifyNamesTheDamagedObject) {
  freeze_web();
  run_json({"verify", "--all"});
  const std::string chunk = chunk_files(store())[3];
  flip_byte(chunk);
  const std::string name = std::filesystem::path(chunk).filename();
  EXPECT_THAT(expect_error({"verify", "web"}, 5, "corrupt"), HasSubstr(name));
  const Outcome outcome = run({"verify", "--all", "--keep-going", "--json"});
  EXPECT_EQ(outcome.exit_code, 5);
  const Json verdict = outcome.json();
  EXPECT_EQ(verdict["good"], false);
  EXPECT_EQ(verdict["snapshots"][0]["chunks_bad"], 1);
  EXPECT_THAT(verdict["snapshots"][0]["bad"][0]["key"], HasSubstr(name));
  EXPECT_EQ(verdict["error"]["code"], "corrupt");
  // A missing chunk is damage, too.
  std::filesystem::remove(chunk);
  EXPECT_THAT(expect_error({"verify", "web"}, 5, "corrupt"), HasSubstr(name));
  // Whichever image the chunk belongs to: without any chunk none can be exported.
  for (const std::string& other : chunk_files(store())) std::filesystem::remove(other);
  expect_error({"export", "web", "--memory", file("m")}, 3, "not_found");
  EXPECT_FALSE(std::filesystem::exists(file("m")));
}

TEST_F(CliTest, ADamagedOrMissingManifestIsCorrupt) {
  freeze_web();
  const std::string id = run_json({"show", "web"})["manifest"];
  const std::string path = store() + "/0000000000000001/manifests/" + id;
  flip_byte(path);
  for (const char* verb : {"show", "verify"}) {
    EXPECT_THAT(expect_error({verb, "web"}, 5, "corrupt"), HasSubstr(id)) << verb;
  }
  const Outcome listed = run({"ls", "--long", "--json"});
  EXPECT_EQ(listed.exit_code, 5);
  EXPECT_EQ(listed.json()["snapshots"][0]["error"], "corrupt");
  std::filesystem::remove(path);
  for (const char* verb : {"show", "verify"}) {
    EXPECT_THAT(expect_error({verb, "web"}, 5, "corrupt"), HasSubstr(id)) << verb;
  }
}

TEST_F(CliTest, VerifyTakesNamesOrAll) {
  freeze_web();
  expect_error({"verify"}, 2, "invalid");
  expect_error({"verify", "web", "--all"}, 2, "invalid");
  expect_error({"verify", "web", "nix"}, 3, "not_found");
}

TEST_F(CliTest, OtherTenantsAndKeyringsSeeNothing) {
  freeze_web();
  expect_error({"show", "web", "--tenant", "other"}, 3, "not_found");
  ASSERT_EQ(run({"key", "create", "--tenant", "other"}).exit_code, 0);
  expect_error({"show", "web", "--tenant", "other"}, 3, "not_found");
  ASSERT_EQ(run({"key", "create", "--keyring", file("keys2")}).exit_code, 0);
  for (const char* verb : {"show", "verify"}) {
    expect_error({verb, "web", "--keyring", file("keys2")}, 6, "denied");
  }
  expect_error({"export", "web", "--memory", file("m"), "--keyring", file("keys2")}, 6, "denied");
  expect_error({"show", "web", "--keyring", file("nokeys")}, 3, "not_found");
}

TEST_F(CliTest, AKeyringThatOthersCanReadIsRefused) {
  freeze_web();
  ASSERT_EQ(::chmod((keyring() + "/default.keyring").c_str(), 0644), 0);
  EXPECT_THAT(expect_error({"show", "web"}, 6, "denied"), HasSubstr("default.keyring"));
}

TEST_F(CliTest, BadNamesAreRefusedInPrintableWords) {
  ASSERT_EQ(run({"init"}).exit_code, 0);
  make_image("memory", 16, 0, 1);
  for (const std::string& name : std::vector<std::string>{
           "..", "", ".hidden", "a/b", "../../etc/passwd", std::string(4096, 'x'), "\xff\xfe",
           "caf\xc3\xa9", "a\x1b[31mb", "a\nb", "a b", "-x"}) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"freeze", "--memory", file("memory"), "--", name},
                                               {"show", "--", name},
                                               {"rm", "--", name},
                                               {"verify", "--", name},
                                               {"export", "--memory", file("out"), "--", name},
                                               {"restore", "--uffd", file("socket"), "--", name}}) {
      std::vector<std::string> with_json = arguments;
      with_json.insert(with_json.begin(), "--json");
      const Outcome outcome = run(with_json);
      EXPECT_EQ(outcome.exit_code, 2) << arguments[0] << " " << testing::PrintToString(name);
      for (const char c : outcome.err) EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f));
      EXPECT_LT(outcome.err.size(), 400u);
      EXPECT_EQ(outcome.json()["error"]["code"], "invalid");
    }
    expect_error({"ls", "--tenant", name}, 2, "invalid");
  }
}

TEST_F(CliTest, BadInputOfFreezeIsRefused) {
  freeze_web();
  const auto freeze = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"freeze", "other"});
    return more;
  };
  for (const char* size :
       {"0", "1", "3KiB", "8KiB", "8MiB", "100KiB", "512k", "-512KiB", "0x10000", "1e6", "",
        "512 KiB", "99999999999999999999", "18446744073709551615TiB"}) {
    expect_error(freeze({"--memory", file("memory"), "--chunk-size", size}), 2, "invalid");
  }
  for (const char* threads : {"-1", "x", "1025", "", "1.5"}) {
    expect_error(freeze({"--memory", file("memory"), "--threads", threads}), 2, "invalid");
  }
  EXPECT_THAT(expect_error(freeze({"--memory", file("missing")}), 3, "not_found"),
              HasSubstr("missing"));
  make_image("odd", 4, 100, 1);
  expect_error(freeze({"--memory", file("odd")}), 2, "invalid");
  expect_error(freeze({}), 2, "invalid");
  expect_error(freeze({"--memory", ""}), 2, "invalid");
  expect_error(freeze({"--disk", file("memory")}), 2, "invalid");
  expect_error(freeze({"--disk", "a=" + file("memory"), "--disk", "a=" + file("memory")}), 2,
               "invalid");
  expect_error(freeze({"--memory", file("memory"), "--annotate", "novalue"}), 2, "invalid");
  expect_error(freeze({"--memory", file("memory"), "--annotate", "tool=mine"}), 2, "invalid");
  expect_error({"show", "other"}, 3, "not_found");
}

TEST_F(CliTest, StoresThatAreNone) {
  ASSERT_EQ(run({"init"}).exit_code, 0);
  EXPECT_THAT(expect_error({"ls", "--store", "s3://bucket"}, 6, "denied"),
              HasSubstr("AWS_ACCESS_KEY_ID"));
  for (const char* store : {"dir:", "", "/var/lib/thaw", "ftp://x", "s3://", "s3://Bucket_"}) {
    expect_error({"ls", "--store", store}, 2, "invalid");
  }
  expect_error({"ls", "--store", "dir:" + file("nowhere")}, 3, "not_found");
  EXPECT_THAT(run_in({{"THAW_CONFIG", file("empty.toml")}}, {"ls"}).err, HasSubstr("THAW_STORE"));
}

TEST_F(CliTest, CommandLineBeatsEnvironmentBeatsConfig) {
  const auto config_of = [&](const std::string& name) {
    write(name + ".toml", "store = \"dir:" + file(name) + "\"\ntenant = \"of-" + name +
                              "\"\nkeyring = \"" + file(name + ".keys") + "\"\n");
    return file(name + ".toml");
  };
  const std::string by_config = config_of("config");
  const std::string by_option = config_of("option");
  const auto init = [&](const Variables& environment, std::vector<std::string> options) {
    options.insert(options.begin(), {"init", "--json"});
    return run_in(environment, options).json();
  };
  Json json = init({{"THAW_CONFIG", by_config}}, {});
  EXPECT_EQ(json["store"], "dir:" + file("config"));
  EXPECT_EQ(json["tenant"], "of-config");
  EXPECT_EQ(json["keyring"], file("config.keys"));
  json = init({{"THAW_CONFIG", by_config}}, {"--config", by_option});
  EXPECT_EQ(json["tenant"], "of-option");
  const Variables all{{"THAW_CONFIG", by_config},
                      {"THAW_STORE", "dir:" + file("env")},
                      {"THAW_TENANT", "of-env"},
                      {"THAW_KEYRING", file("env.keys")}};
  json = init(all, {});
  EXPECT_EQ(json["store"], "dir:" + file("env"));
  EXPECT_EQ(json["tenant"], "of-env");
  EXPECT_EQ(json["keyring"], file("env.keys"));
  json = init(all, {"--store", "dir:" + file("line"), "--tenant", "of-line", "--keyring",
                    file("line.keys")});
  EXPECT_EQ(json["store"], "dir:" + file("line"));
  EXPECT_EQ(json["tenant"], "of-line");
  EXPECT_EQ(json["keyring"], file("line.keys"));
  // A variable that is empty is as good as none; options may stand before the verb.
  json = run_in({{"THAW_CONFIG", by_config}, {"THAW_TENANT", ""}},
                {"--store", "dir:" + file("early"), "--json", "init"})
             .json();
  EXPECT_EQ(json["tenant"], "of-config");
  EXPECT_EQ(json["store"], "dir:" + file("early"));
}

TEST_F(CliTest, ABadConfigIsRefusedWithKeyAndLine) {
  write("bad.toml", "tenant = \"a\"\n[restore]\nfil = \"page\"\n");
  const std::string message = expect_error({"ls", "--config", file("bad.toml")}, 2, "invalid");
  EXPECT_THAT(message, HasSubstr("bad.toml line 3"));
  EXPECT_THAT(message, HasSubstr("restore.fil"));
  expect_error({"ls", "--config", file("missing.toml")}, 3, "not_found");
}

TEST_F(CliTest, FreezeTakesItsDefaultsFromTheConfig) {
  freeze_web();
  write("thaw.toml", "[freeze]\nchunk_size = \"128KiB\"\nthreads = 1\n");
  environment_["THAW_CONFIG"] = file("thaw.toml");
  EXPECT_EQ(run_json({"freeze", "a", "--memory", file("memory")})["chunk_bytes"], 128 * 1024);
  EXPECT_EQ(
      run_json({"freeze", "b", "--memory", file("memory"), "--chunk-size", "16KiB"})["chunk_bytes"],
      16 * 1024);
}

TEST_F(CliTest, EveryHelpStandsAlone) {
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{},
                                             {"init"},
                                             {"key"},
                                             {"key", "create"},
                                             {"key", "list"},
                                             {"key", "rotate"},
                                             {"key", "drop-retired"},
                                             {"freeze"},
                                             {"ls"},
                                             {"show"},
                                             {"verify"},
                                             {"export"},
                                             {"rm"},
                                             {"restore"},
                                             {"record"},
                                             {"mount"},
                                             {"doctor"},
                                             {"completion"}}) {
    std::vector<std::string> arguments = verb;
    arguments.push_back("--help");
    const Outcome help = run(arguments);
    EXPECT_EQ(help.exit_code, 0) << testing::PrintToString(verb);
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, HasSubstr("Exit codes:"));
    EXPECT_THAT(help.out, HasSubstr("Example:"));
    EXPECT_THAT(help.out, HasSubstr("--keyring"));
    // The example is one of this verb.
    std::string command = "thaw";
    for (const std::string& word : verb) command += " " + word;
    EXPECT_THAT(help.out.substr(help.out.find("Example:")), HasSubstr(command));
  }
  EXPECT_EQ(run({"--version"}).out, "thaw 0.1.0\n");
}

TEST_F(CliTest, WrongUsageIsExitCode2) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                     {"nonsense"},
                                                                     {"key"},
                                                                     {"ls", "--bogus"},
                                                                     {"freeze"},
                                                                     {"ls", "a", "b"},
                                                                     {"ls", "--quiet", "--long"},
                                                                     {"restore", "web"},
                                                                     {"ls", "--log-level", "loud"},
                                                                     {"ls", "\x1b]0;x\x07"}}) {
    if (arguments.size() == 2 && arguments[1][0] == '\x1b') continue;  // a prefix like any other
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << testing::PrintToString(arguments) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("--help"));
    EXPECT_EQ(outcome.out, "");
    expect_error(arguments, 2, "invalid");
  }
  const Outcome hostile = run({"\x1b]0;x\x07"});
  EXPECT_EQ(hostile.exit_code, 2);
  EXPECT_EQ(hostile.err.find('\x1b'), std::string::npos);
}

TEST_F(CliTest, ALostStandardOutputIsAnError) {
  freeze_web();
  const std::string command = std::string(THAW_BINARY) + " ls > /dev/full";
  ThawProcess shell("/bin/sh", {"-c", command}, environment_, file("stderr"));
  const Outcome outcome = shell.wait();
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
}

TEST_F(CliTest, ASignalStopsAFreezeAndLeavesNoName) {
  ASSERT_EQ(run({"init"}).exit_code, 0);
  // Every page different, so that every chunk has to be uploaded.
  Bytes bytes(192 * kMiB);
  for (size_t at = 0; at < bytes.size(); at += 8) std::memcpy(&bytes[at], &at, sizeof at);
  ASSERT_TRUE(replace_file(file("memory"), bytes, 0600));
  const auto process = start({"freeze", "web", "--memory", file("memory"), "--chunk-size", "16KiB",
                              "--threads", "1", "--json"});
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (chunk_files(store()).empty() && std::chrono::steady_clock::now() < limit) {
  }
  process->kill(SIGINT);
  const Outcome outcome = process->wait();
  EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
  EXPECT_EQ(outcome.json()["error"]["code"], "interrupted");
  expect_error({"show", "web"}, 3, "not_found");
}

TEST_F(CliTest, DoctorJudges) {
  freeze_web();
  const Outcome outcome = run({"doctor", "--json"});
  const Json json = outcome.json();
  EXPECT_EQ(outcome.exit_code, json["healthy"] == true ? 0 : 1) << outcome.out;
  std::map<std::string, std::string> health;
  for (const Json& check : json["checks"]) {
    health[check["check"]] = check["health"];
    EXPECT_NE(check["found"], "") << check;
    if (check["health"] != "ok") {
      EXPECT_NE(check["advice"], "") << check;
    }
  }
  for (const char* check :
       {"kernel", "/dev/userfaultfd", "userfaultfd()", "/dev/fuse", "fuse mounts", "huge pages",
        "open files", "locked memory", "memory maps", "AES", "SHA-256", "pidfd", "kvm", "config",
        "store", "store writable", "keyring"}) {
    EXPECT_TRUE(health.contains(check)) << check;
  }
  EXPECT_EQ(health["store"], "ok");
  EXPECT_EQ(health["keyring"], "ok");

  ASSERT_EQ(::chmod((keyring() + "/default.keyring").c_str(), 0644), 0);
  write("bad.toml", "nonsense = 1\n");
  EXPECT_EQ(run({"doctor"}).exit_code, 1);
  const Outcome bad = run({"doctor", "--config", file("bad.toml")});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.out, HasSubstr("nonsense"));
}

TEST_F(CliTest, CompletionIsBashAndKnowsVerbsOptionsChoicesAndSnapshots) {
  freeze_web();
  write("completion.bash", run({"completion", "bash"}).out);
  ThawProcess check("/bin/bash", {"-n", file("completion.bash")}, environment_, file("stderr"));
  const Outcome syntax = check.wait();
  EXPECT_EQ(syntax.exit_code, 0);
  EXPECT_EQ(syntax.err, "");
  write("words.bash",
        "source \"$1\"; COMP_LINE=\"$2\"; COMP_POINT=${#2}; _thaw; "
        "printf '%s\\n' \"${COMPREPLY[@]}\"\n");
  Variables environment = environment_;
  environment["PATH"] =
      std::filesystem::path(THAW_BINARY).parent_path().string() + ":" + environment["PATH"];
  const auto complete = [&](const std::string& line) {
    ThawProcess bash("/bin/bash", {file("words.bash"), file("completion.bash"), line}, environment,
                     file("stderr"));
    const Outcome outcome = bash.wait();
    EXPECT_EQ(outcome.err, "") << line;
    return outcome.out;
  };
  EXPECT_EQ(complete("thaw fr"), "freeze\n");
  EXPECT_EQ(complete("thaw key ro"), "rotate\n");
  EXPECT_EQ(complete("thaw --json key drop"), "drop-retired\n");
  EXPECT_EQ(complete("thaw freeze web --chunk"), "--chunk-size\n");
  EXPECT_EQ(complete("thaw restore web --prefault "), "none\nall\n");
  EXPECT_EQ(complete("thaw completion "), "bash\n");
  EXPECT_EQ(complete("thaw show w"), "web\n");
  EXPECT_EQ(complete("thaw show --store dir:" + file("nowhere") + " w"), "\n");
  EXPECT_EQ(complete("thaw freeze web --memory " + file("memo")), file("memory") + "\n");
  EXPECT_EQ(complete("thaw freeze web --disk root=" + file("memo")), file("memory") + "\n");
}

}  // namespace
}  // namespace thaw
