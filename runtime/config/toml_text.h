#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include "runtime/config/config_words.h"

namespace coe {

/// A value as a file would say it; numbers with as many digits as read back to the same one.
template <class Number>
requires std::is_arithmetic_v<Number> std::string toml_text(Number number) { return fmt::format("{}", number); }
template <class Enum>
requires std::is_enum_v<Enum> std::string toml_text(Enum value) {
  return fmt::format("\"{}\"", kWords<Enum>[static_cast<std::size_t>(value)]);
}
std::string toml_text(const std::string& text);
std::string toml_text(const std::filesystem::path& path);
std::string toml_text(const std::vector<std::string>& list);

}  // namespace coe
