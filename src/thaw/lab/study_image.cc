// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/study_image.h"

#include <algorithm>
#include <memory>

#include "thaw/freeze/diff_file.h"
#include "thaw/sys/file_io.h"

namespace thaw {
namespace {

constexpr uint64_t kImageBytesMax = uint64_t{1} << 36;

/// The pages of a diff, one behind the other.
Result<Bytes> read_diff(const ImageFile& diff) {
  Bytes bytes(count_pages(diff.data_runs()) * kPageBytes);
  MutableByteSpan rest(bytes);
  for (const PageRun& run : diff.data_runs()) {
    TRY(diff.read_pages(run, rest.first(run.count * kPageBytes)));
    rest = rest.subspan(run.count * kPageBytes);
  }
  return bytes;
}

/// How many of the pages in `runs` are below `page`, which is one of them.
uint64_t index_in(const PageRuns& runs, uint64_t page) {
  uint64_t before = 0;
  for (const PageRun& run : runs) {
    if (page < run.end()) return before + (page - run.page);
    before += run.count;
  }
  return before;
}

}  // namespace

Result<Bytes> StudyImage::read_layers(const MemoryLayers& layers) {
  ASSIGN_OR_RETURN(Bytes image, read_file(layers.image_path, kImageBytesMax));
  if (layers.diff_path.empty()) return image;
  ASSIGN_OR_RETURN(const auto diff, open_diff(layers.diff_path, image.size()));
  for (const PageRun& run : diff->data_runs()) {
    TRY(diff->read_pages(
        run, MutableByteSpan(image).subspan(run.page * kPageBytes, run.count * kPageBytes)));
  }
  return image;
}

Result<StudyImage> StudyImage::make(const MemoryLayers& layers, const std::string& working_path,
                                    const StudyFileOptions& options) {
  const auto open_whole = [&]() -> Result<StudyFile> {
    if (!options.encrypted && options.chunk_bytes == 0) {
      return StudyFile::open_plain(layers.image_path);
    }
    ASSIGN_OR_RETURN(const Bytes image, read_file(layers.image_path, kImageBytesMax));
    return StudyFile::make(working_path + ".image", image, options);
  };
  ASSIGN_OR_RETURN(StudyFile whole, open_whole());
  StudyImage made(std::move(whole));
  if (layers.diff_path.empty()) return made;
  ASSIGN_OR_RETURN(const auto diff, open_diff(layers.diff_path, made.whole_.bytes()));
  ASSIGN_OR_RETURN(const Bytes pages, read_diff(*diff));
  made.diff_pages_.assign(diff->data_runs().begin(), diff->data_runs().end());
  ASSIGN_OR_RETURN(StudyFile file, StudyFile::make(working_path + ".diff", pages, options));
  made.diff_.emplace(std::move(file));
  return made;
}

void StudyImage::begin(const std::optional<LatencyShape>& shape, uint64_t seed) {
  whole_.begin(shape, seed);
  if (diff_) diff_->begin(shape, seed + 1);
}

Result<void> StudyImage::read(uint64_t page, MutableByteSpan out) {
  if (diff_ && contains_page(diff_pages_, page)) {
    return diff_->read(index_in(diff_pages_, page), out);
  }
  return whole_.read(page, out);
}

StudyCost StudyImage::cost() const {
  StudyCost cost = whole_.cost();
  if (diff_) cost += diff_->cost();
  return cost;
}

}  // namespace thaw
