// SPDX-License-Identifier: Apache-2.0
#include "thaw/zone/reed_solomon.h"

#include <isa-l.h>

#include <algorithm>
#include <array>

#include "thaw/base/check.h"
#include "thaw/zone/stripe.h"

namespace thaw {
namespace {

/// Bytes of ISA-L's expanded form of one coefficient.
constexpr size_t kTableBytes = 32;

// ISA-L takes pointers to unsigned char, not const. SAFETY: it only reads its sources.
unsigned char* raw(ByteSpan bytes) {
  return const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
}
unsigned char* raw(MutableByteSpan bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

alignas(64) constexpr std::array<std::byte, kStripeTailMax> kZeros{};

/// One product of ISA-L over `bytes` of the sources from `offset` on. A source that ends before is
/// zeros; an output that ends before is not written.
void multiply(std::span<const ByteSpan> sources, std::span<const MutableByteSpan> outputs,
              const std::vector<uint8_t>& tables, size_t offset, size_t bytes) {
  if (bytes == 0) return;
  std::array<unsigned char*, kDataStripesMax> in{};
  std::array<unsigned char*, kDataStripesMax> out{};
  std::array<std::byte, kStripeTailMax> unwanted;
  for (size_t i = 0; i < sources.size(); ++i) {
    const bool ends = sources[i].size() < offset + bytes;
    CHECK(!ends || (sources[i].size() <= offset && bytes <= kZeros.size()));
    in[i] = ends ? raw(ByteSpan(kZeros)) : raw(sources[i].subspan(offset));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const bool ends = outputs[i].size() < offset + bytes;
    CHECK(!ends || (outputs[i].size() <= offset && bytes <= unwanted.size()));
    out[i] = ends ? raw(MutableByteSpan(unwanted)) : raw(outputs[i].subspan(offset));
  }
  // SAFETY: the tables are only read.
  ec_encode_data(static_cast<int>(bytes), static_cast<int>(sources.size()),
                 static_cast<int>(outputs.size()), const_cast<uint8_t*>(tables.data()), in.data(),
                 out.data());
}

/// The product in two parts: as far as the shortest goes, then what the others have more.
void multiply_all(std::span<const ByteSpan> sources, std::span<const MutableByteSpan> outputs,
                  const std::vector<uint8_t>& tables) {
  size_t shortest = SIZE_MAX;
  size_t longest = 0;
  const auto look_at = [&](size_t size) {
    shortest = std::min(shortest, size);
    longest = std::max(longest, size);
  };
  for (const ByteSpan source : sources) look_at(source.size());
  for (const MutableByteSpan output : outputs) look_at(output.size());
  multiply(sources, outputs, tables, 0, shortest);
  multiply(sources, outputs, tables, shortest, longest - shortest);
}

std::vector<uint8_t> tables_for(unsigned data, unsigned rows, const uint8_t* coefficients) {
  std::vector<uint8_t> tables(kTableBytes * data * rows);
  // SAFETY: the coefficients are only read.
  ec_init_tables(static_cast<int>(data), static_cast<int>(rows), const_cast<uint8_t*>(coefficients),
                 tables.data());
  return tables;
}

}  // namespace

ReedSolomon::ReedSolomon(unsigned data, unsigned parity)
    : data_(data), parity_(parity), matrix_(size_t{data + parity} * data) {
  CHECK(validate_stripe_shape(data, parity));
  gf_gen_cauchy1_matrix(matrix_.data(), static_cast<int>(data + parity), static_cast<int>(data));
  // The XOR, which any tool can check. ISA-L's product with ones takes 7 us of 512 KiB as 4 + 1,
  // less than half of what a loop over 32-byte lanes took.
  if (parity == 1) std::fill(matrix_.end() - data, matrix_.end(), uint8_t{1});
  if (parity_ > 0) parity_tables_ = tables_for(data, parity, &matrix_[size_t{data} * data]);
}

void ReedSolomon::encode(std::span<const ByteSpan> data,
                         std::span<const MutableByteSpan> parity) const {
  CHECK(data.size() == data_ && parity.size() == parity_);
  if (parity_ > 0) multiply_all(data, parity, parity_tables_);
}

void ReedSolomon::reconstruct(std::span<const Piece> present,
                              std::span<const Missing> missing) const {
  CHECK(present.size() == data_ && missing.size() <= parity_);
  if (missing.empty()) return;
  // The rows of those present map the data to them; the inverse maps them back.
  std::vector<uint8_t> rows(size_t{data_} * data_);
  std::vector<uint8_t> inverse(rows.size());
  std::array<ByteSpan, kDataStripesMax> sources;
  for (size_t i = 0; i < present.size(); ++i) {
    CHECK(present[i].index < data_ + parity_);
    std::copy_n(&matrix_[size_t{present[i].index} * data_], data_, &rows[i * data_]);
    sources[i] = present[i].bytes;
  }
  CHECK(gf_invert_matrix(rows.data(), inverse.data(), static_cast<int>(data_)) == 0);
  std::vector<uint8_t> wanted;
  std::array<MutableByteSpan, kParityStripesMax> outputs;
  for (size_t i = 0; i < missing.size(); ++i) {
    CHECK(missing[i].index < data_);
    const uint8_t* const row = &inverse[size_t{missing[i].index} * data_];
    wanted.insert(wanted.end(), row, row + data_);
    outputs[i] = missing[i].out;
  }
  multiply_all(std::span(sources).first(present.size()), std::span(outputs).first(missing.size()),
               tables_for(data_, static_cast<unsigned>(missing.size()), wanted.data()));
}

}  // namespace thaw
