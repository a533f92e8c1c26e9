// SPDX-License-Identifier: Apache-2.0
//
// A table as CSV (RFC 4180): a header with units, lines that end in CR LF, numbers with a point and
// as many digits as they have.
#pragma once

#include <string>
#include <string_view>

#include "thaw/report/figure.h"

namespace thaw {

std::string csv_text(const FigureTable& table);

/// In quotes if it has to be.
std::string csv_field(std::string_view text);
/// "over plain REAP" of "ratio": "over_plain_reap_ratio".
std::string csv_name(const TableColumn& column);

}  // namespace thaw
