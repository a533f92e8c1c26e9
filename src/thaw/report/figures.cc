// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/figures.h"

#include <algorithm>

namespace thaw {

std::vector<Figure> make_figures(const CountedResults& results) {
  std::vector<Figure> figures;
  for (Figure (*const make)(const CountedResults&) :
       {overhead_by_storage, overhead_by_tier, overhead_by_input, overhead_of_real_guests,
        overhead_of_firecracker_guests, ratio_of_variants, resume_distribution, touch_distribution,
        time_by_stage, overhead_by_chunk_size, amplification_by_chunk_size, bytes_by_tier,
        cpu_by_technique, memory_by_clone, time_by_parallel}) {
    Figure figure = make(results);
    std::erase(figure.notes, "");
    figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace thaw
