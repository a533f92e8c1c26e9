// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/lab_guest.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "thaw/base/bytes.h"
#include "thaw/crypto/digest.h"
#include "thaw/lab/guest_driver.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

using nlohmann::json;

constexpr char kFormat[] = "thaw guest v1";
constexpr uint64_t kDescriptionBytesMax = uint64_t{1} << 20;
constexpr uint64_t kMemoryMibMax = uint64_t{16} << 10;  // as thaw-qemu has it
constexpr size_t kReadBytes = size_t{1} << 20;

std::string how_to_make(const std::string& guests, const std::string& function, GuestVmm vmm) {
  return "; make it: thaw lab build --output images, then thaw lab trace --images images --output "
         "traces --guests " +
         guests + " --function " + function +
         (vmm == GuestVmm::kQemu ? "" : " --vmm " + word_of(vmm));
}

/// A member that is an object; an empty one if it is none.
json object_of(const json& value, const char* name) {
  const auto found = value.find(name);
  return found != value.end() && found->is_object() ? *found : json::object();
}

Result<LabGuestCall> call_of(const json& inputs, const char* name) {
  const json value = object_of(inputs, name);
  LabGuestCall call;
  ASSIGN_OR_RETURN(call.seed, count_of_result(value, "seed"));
  ASSIGN_OR_RETURN(call.input, text_of_result(value, "input"));
  ASSIGN_OR_RETURN(call.sha256, text_of_result(value, "sha256"));
  return call;
}

Result<LabGuest> decode(const json& value, const std::string& function) {
  LabGuest guest;
  ASSIGN_OR_RETURN(const std::string format, text_of_result(value, "format"));
  if (format != kFormat) {
    return fail(ErrorCode::kInvalid, "its format is '" + format + "', not '" + kFormat + "'");
  }
  // Guests that were kept before there was another VMM do not say.
  if (value.contains("vmm")) {
    ASSIGN_OR_RETURN(const std::string word, text_of_result(value, "vmm"));
    const std::optional<GuestVmm> vmm = parse_guest_vmm(word);
    if (!vmm) return fail(ErrorCode::kInvalid, "there is no VMM '" + word + "'");
    guest.vmm = *vmm;
  }
  ASSIGN_OR_RETURN(guest.function, text_of_result(value, "function"));
  if (guest.function != function) {
    return fail(ErrorCode::kInvalid, "it is of the function '" + guest.function + "'");
  }
  ASSIGN_OR_RETURN(guest.memory_mib, count_of_result(value, "memory_mib"));
  ASSIGN_OR_RETURN(guest.boot_id, text_of_result(value, "boot_id"));
  ASSIGN_OR_RETURN(guest.calls, count_of_result(value, "calls"));
  const json inputs = object_of(value, "inputs");
  ASSIGN_OR_RETURN(guest.recorded, call_of(inputs, "recorded"));
  ASSIGN_OR_RETURN(guest.measured, call_of(inputs, "measured"));
  ASSIGN_OR_RETURN(guest.other, call_of(inputs, "other"));
  const json digests = object_of(value, "sha256");
  ASSIGN_OR_RETURN(guest.memory_sha256, text_of_result(digests, "memory"));
  ASSIGN_OR_RETURN(guest.measured_sha256, text_of_result(digests, (function + ".trace").c_str()));
  return guest;
}

Result<void> check_files(const LabGuest& guest) {
  ASSIGN_OR_RETURN(const Fd memory, open_file(guest.memory_path(), O_RDONLY));
  ASSIGN_OR_RETURN(const uint64_t bytes, file_size(memory.get(), guest.memory_path()));
  if (guest.memory_mib == 0 || guest.memory_mib > kMemoryMibMax || bytes != guest.memory_bytes()) {
    return fail(ErrorCode::kInvalid, guest.memory_path() + " has " + std::to_string(bytes) +
                                         " bytes; its guest has " +
                                         std::to_string(guest.memory_mib) + " MiB");
  }
  TRY(open_file(guest.vmstate_path(), O_RDONLY));
  return {};
}

}  // namespace

Result<LabGuest> load_guest(const std::string& guests, const std::string& function, GuestVmm vmm) {
  if (guests.empty()) {
    return fail(ErrorCode::kInvalid, "driver " + word_of(vmm) +
                                         " needs the guests' snapshots: name them with --guests" +
                                         how_to_make("GUESTS", function, vmm));
  }
  const std::string directory = guests + "/" + function;
  const std::string path = directory + "/guest.json";
  const std::string remedy = how_to_make(guests, function, vmm);
  const Result<Bytes> text = read_file(path, kDescriptionBytesMax);
  if (!text) {
    if (text.error().code != ErrorCode::kNotFound) return fail(text.error());
    return fail(ErrorCode::kNotFound,
                "there is no guest of the function '" + function + "' in " + guests + remedy);
  }
  const json value = json::parse(as_text(*text), nullptr, false);
  if (!value.is_object()) return fail(ErrorCode::kInvalid, path + " is no JSON object" + remedy);
  Result<LabGuest> guest = decode(value, function);
  if (!guest) return fail(ErrorCode::kInvalid, path + ": " + guest.error().message + remedy);
  if (guest->vmm != vmm) {
    return fail(ErrorCode::kInvalid, directory + " is a guest of " + title_of(guest->vmm) +
                                         ", whose device state " + title_of(vmm) + " cannot load" +
                                         remedy + " in a folder of its own");
  }
  guest->directory = directory;
  if (const Result<void> files = check_files(*guest); !files) {
    return fail(files.error().code, files.error().message + remedy);
  }
  return guest;
}

Result<void> verify_guest(const LabGuest& guest) {
  const std::string path = guest.memory_path();
  ASSIGN_OR_RETURN(const Fd file, open_file(path, O_RDONLY));
  Sha256 digest;
  digest.reset();
  std::vector<std::byte> piece(kReadBytes);
  for (uint64_t offset = 0; offset < guest.memory_bytes(); offset += piece.size()) {
    TRY(read_exact_at(file.get(), offset, piece, path));
    digest.update(piece);
  }
  if (to_hex(digest.finish()) == guest.memory_sha256) return {};
  return fail(ErrorCode::kCorrupt, path + " is not what was kept" +
                                       how_to_make(guest.directory, guest.function, guest.vmm));
}

}  // namespace thaw
