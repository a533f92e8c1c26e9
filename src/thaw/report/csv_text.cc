// SPDX-License-Identifier: Apache-2.0
#include "thaw/report/csv_text.h"

#include <cctype>
#include <charconv>

namespace thaw {
namespace {

std::string number_text(double value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return {text, end};
}

std::string value_text(const TableValue& value) {
  if (const auto* word = std::get_if<std::string>(&value)) return csv_field(*word);
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  return "";
}

}  // namespace

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string field = "\"";
  for (const char c : text) {
    if (c == '"') field += '"';
    field += c;
  }
  return field + '"';
}

std::string csv_name(const TableColumn& column) {
  std::string name;
  for (const char c : column.name + " " + column.unit) {
    if (c == '%') {
      name += "percent";
    } else if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name;
}

std::string csv_text(const FigureTable& table) {
  std::string text;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    text += (i > 0 ? "," : "") + csv_name(table.columns[i]);
  }
  text += "\r\n";
  for (const std::vector<TableValue>& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) text += (i > 0 ? "," : "") + value_text(row[i]);
    text += "\r\n";
  }
  return text;
}

}  // namespace thaw
