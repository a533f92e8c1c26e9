// SPDX-License-Identifier: Apache-2.0
//
// TextTable: rows for people, columns aligned by their widest cell.
#pragma once

#include <string>
#include <vector>

namespace thaw {

class TextTable {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }

  /// All rows, each with its end of line, columns two spaces apart, nothing behind the last one.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace thaw
