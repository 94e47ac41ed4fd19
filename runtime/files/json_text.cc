#include "runtime/files/json_text.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

namespace coe {
namespace {

namespace json = boost::json;

void append(const json::value& value, std::string& text);

std::string number_text(double number) {
  if (!std::isfinite(number)) return "null";
  std::string text = fmt::format("{}", number);
  // A whole number stays one with a fraction, so that readers see one type in every line.
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

void append(const json::object& object, std::string& text) {
  text += '{';
  for (std::string_view between = ""; const auto& [key, value] : object) {
    text += between;
    text += json::serialize(key);
    text += ':';
    append(value, text);
    between = ",";
  }
  text += '}';
}

void append(const json::array& array, std::string& text) {
  text += '[';
  for (std::string_view between = ""; const json::value& value : array) {
    text += between;
    append(value, text);
    between = ",";
  }
  text += ']';
}

void append(const json::value& value, std::string& text) {
  if (value.is_object()) return append(value.get_object(), text);
  if (value.is_array()) return append(value.get_array(), text);
  text += value.is_double() ? number_text(value.get_double()) : json::serialize(value);
}

}  // namespace

std::string json_text(const json::value& value) {
  std::string text;
  append(value, text);
  return text;
}

}  // namespace coe
