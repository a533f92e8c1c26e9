// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/run_facts.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "thaw/base/bytes.h"
#include "thaw/sys/child_process.h"
#include "thaw/sys/cpu_info.h"
#include "thaw/sys/file_system.h"

namespace thaw {
namespace {

constexpr std::chrono::seconds kAnswerMax{10};

std::string compiler() {
#ifdef __clang__
  return std::string("clang ") + __clang_version__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

/// The word of the program's first line that begins with a digit, or a v before it; empty if it
/// does not answer.
std::string version_of(const std::string& program, const std::string& option) {
  const auto child = ChildProcess::start({.argv = {program, option}, .pipe_output = true});
  if (!child) return "";
  const Result<std::string> line = (*child)->read_line(kAnswerMax);
  if (!line) return "";
  std::istringstream words(*line);
  for (std::string word; words >> word;) {
    if (word.size() > 1 && word[0] == 'v') word.erase(0, 1);
    if (word[0] >= '0' && word[0] <= '9') return word;
  }
  return "";
}

/// Those that sealing, hashing and checksums get faster by.
std::string crypto_flags() {
  const std::set<std::string> flags = cpu_flags();
  std::string text;
  for (const char* flag : {"aes", "vaes", "sha_ni", "sha2", "avx2", "avx512f"}) {
    if (flags.contains(flag)) text += std::string(" ") + flag;
  }
  return text.empty() ? " none" : text;
}

/// Of "always [madvise] never", what is in force; empty if the kernel has no huge pages.
std::string huge_page_setting() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const size_t begin = line.find('[');
  const size_t end = line.find(']');
  if (begin == std::string::npos || end == std::string::npos) return "";
  return line.substr(begin + 1, end - begin - 1);
}

void add_known(std::vector<std::string>& versions, const std::string& name,
               const std::string& version) {
  if (!version.empty()) versions.push_back(name + " " + version);
}

std::string shown(const std::string& text) { return text.empty() ? "unknown" : text; }

}  // namespace

void find_facts(const MachineNeeds& needs, const std::string& output, ResultsHeader& header) {
  header.cpu = cpu_model();
  utsname system{};
  if (::uname(&system) == 0) header.kernel = system.release;
  header.cores = std::thread::hardware_concurrency();
  header.memory_bytes = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  std::vector<std::string>& versions = header.versions;
  versions.push_back(compiler());
  versions.push_back(std::string("OpenSSL ") + ::OpenSSL_version(OPENSSL_FULL_VERSION_STRING));
  if (needs.fuse > 0) versions.push_back(std::string("libfuse ") + ::fuse_pkgversion());
  if (needs.memcached > 0) add_known(versions, "memcached", version_of("memcached", "-V"));
  if (needs.qemu > 0) add_known(versions, "QEMU", version_of("qemu-system-x86_64", "--version"));
  if (needs.firecracker > 0) {
    add_known(versions, "Firecracker", version_of("firecracker", "--version"));
  }
  add_known(versions, "transparent huge pages", huge_page_setting());
  versions.push_back("processor flags" + crypto_flags());
  add_known(versions, "output on", file_system_of(nearest_directory(output)));
}

std::string facts_changed(const ResultsHeader& found, const ResultsHeader& now) {
  std::string text;
  const auto add = [&text](const std::string& what) { text += (text.empty() ? "" : ", ") + what; };
  const auto compare = [&add](const std::string& name, const std::string& was,
                              const std::string& is) {
    if (was != is) add(name + " was " + shown(was) + ", is " + shown(is));
  };
  compare("thaw", found.thaw_version, now.thaw_version);
  compare("commit", found.commit, now.commit);
  compare("processor", found.cpu, now.cpu);
  compare("kernel", found.kernel, now.kernel);
  compare("cores", std::to_string(found.cores), std::to_string(now.cores));
  // A kernel takes more or less for itself from one boot to the next.
  const auto [least, most] = std::minmax(found.memory_bytes, now.memory_bytes);
  if (most - least > most / 8) {
    compare("memory", human_bytes(found.memory_bytes), human_bytes(now.memory_bytes));
  }
  const auto only_in = [&add](const ResultsHeader& a, const ResultsHeader& b,
                              const std::string& when) {
    for (const std::string& each : a.versions) {
      if (std::ranges::find(b.versions, each) == b.versions.end()) add(when + each);
    }
  };
  only_in(found, now, "was ");
  only_in(now, found, "is ");
  return text;
}

}  // namespace thaw
