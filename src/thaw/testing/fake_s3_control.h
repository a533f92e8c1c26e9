// SPDX-License-Identifier: Apache-2.0
//
// The control lines of thaw-fake-s3: one JSON object a line in, one out.
//   {"chaos": {"seed": 7, "error_rate": 0.1, "only": ["get"], "shape": "origin", "delay_us": 500}}
//   {"clock_offset_s": 3600}   {"page_keys_max": 10}   {"forget": true}   {"report": true}
// Each is answered by {"ok": true}, with "plan" or the report; what is not understood by
// {"ok": false, "error": "..."}, and then nothing was changed.
#pragma once

#include <string>
#include <string_view>

#include "thaw/base/result.h"
#include "thaw/testing/s3_server.h"

namespace thaw {

/// The plan that is meant: names as in S3Chaos, "delay_us", "stall_max_ms"; "shape" is a preset's
/// name or {"p50_ms", "p99_ms", "p999_ms", "bytes_per_s"}; "only" has operations by their names.
/// kInvalid for an unknown name or a value that makes no sense.
Result<S3Chaos> decode_s3_chaos(std::string_view json);

/// Does what the line says; the line to answer, without its end.
std::string answer_control_line(S3Server& server, std::string_view line);

}  // namespace thaw
