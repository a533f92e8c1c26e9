// SPDX-License-Identifier: Apache-2.0
//
// Every figure of the report, one function each. A figure that the results have not the cells for
// says in `needs` which ones. Deterministic. Compares like with like (report/counted_results.h).
#pragma once

#include <vector>

#include "thaw/report/counted_results.h"
#include "thaw/report/figure.h"

namespace thaw {

/// All of them, in the order of the page.
std::vector<Figure> make_figures(const CountedResults& results);

// figure_overhead.cc: resume time over that of REAP over a plain file.
Figure overhead_by_storage(const CountedResults& results);
Figure overhead_by_tier(const CountedResults& results);
Figure overhead_by_input(const CountedResults& results);
Figure overhead_of_real_guests(const CountedResults& results);
Figure overhead_of_firecracker_guests(const CountedResults& results);

// figure_chunk_size.cc
Figure overhead_by_chunk_size(const CountedResults& results);
Figure amplification_by_chunk_size(const CountedResults& results);

// figure_distribution.cc
Figure resume_distribution(const CountedResults& results);
Figure touch_distribution(const CountedResults& results);

// figure_parts.cc: what a resume is made of.
Figure time_by_stage(const CountedResults& results);
Figure bytes_by_tier(const CountedResults& results);
Figure memory_by_clone(const CountedResults& results);

// figure_cpu.cc
Figure cpu_by_technique(const CountedResults& results);

// figure_variants.cc: a cell against the same cell with one axis at its default.
Figure ratio_of_variants(const CountedResults& results);

// figure_scaling.cc
Figure time_by_parallel(const CountedResults& results);

}  // namespace thaw
