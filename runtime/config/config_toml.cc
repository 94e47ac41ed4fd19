#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <type_traits>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/config/allowed_words.h"
#include "runtime/config/config.h"
#include "runtime/config/config_keys.h"
#include "runtime/config/nearest_word.h"
#include "runtime/config/toml_characters.h"
#include "runtime/config/toml_text.h"
#include "runtime/files/mapped_file.h"

namespace coe {
namespace {

/// A tree of TOML is larger than its text, and may be as deep as that is long.
constexpr std::size_t kLongestConfig = 1 << 16;

/// Where each key got its value: "file:line: " or "--set key=value: ".
using Origins = std::map<std::string, std::string, std::less<>>;

/// Text from a file or a setting as part of a message.
std::string one_line(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string line(text.substr(0, kLongest));
  if (text.size() > kLongest) line += "...";
  std::ranges::replace_if(
      line, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

/// The node as the file would write it.
std::string shown(const toml::node& node) {
  std::ostringstream out;
  node.visit([&out](const auto& value) { out << value; });
  return one_line(out.str());
}

/// What a node says where it is of the member's type; else nothing.
template <std::integral Integer>
std::optional<Integer> value_of(const toml::node& node, Integer) {
  const auto number = node.value_exact<std::int64_t>();
  if (!number || (std::unsigned_integral<Integer> && *number < 0)) return std::nullopt;
  return static_cast<Integer>(*number);
}

template <std::floating_point Float>
std::optional<Float> value_of(const toml::node& node, Float) {
  if (!node.is_number()) return std::nullopt;
  return static_cast<Float>(*node.value<double>());
}

template <class Enum>
requires std::is_enum_v<Enum> std::optional<Enum> value_of(const toml::node& node, Enum) {
  const auto word = node.value_exact<std::string>();
  const auto* found = std::ranges::find(kWords<Enum>, word.value_or(""));
  if (found == kWords<Enum>.end()) return std::nullopt;
  return static_cast<Enum>(found - kWords<Enum>.begin());
}

std::optional<bool> value_of(const toml::node& node, bool) { return node.value_exact<bool>(); }

std::optional<std::filesystem::path> value_of(const toml::node& node, const std::filesystem::path&) {
  return node.value_exact<std::string>();
}

std::optional<std::vector<std::string>> value_of(const toml::node& node, const std::vector<std::string>&) {
  const toml::array* list = node.as_array();
  const auto is_string = [](const toml::node& name) { return name.is_string(); };
  if (list == nullptr || !std::ranges::all_of(*list, is_string)) return std::nullopt;
  std::vector<std::string> names;
  for (const toml::node& name : *list) names.push_back(*name.value<std::string>());
  return names;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  for (const ConfigEntry& entry : entries_of({})) keys.push_back(entry.key);
  return keys;
}

[[noreturn]] void unknown_key(const std::string& origin, const std::string& key) {
  const std::vector<std::string> known = known_keys();
  // The right key in a wrong section is nearer than any spelling.
  const auto ends_alike = [name = key.substr(key.find('.'))](const std::string& other) {
    return other.ends_with(name);
  };
  const auto elsewhere = std::ranges::find_if(known, ends_alike);
  const std::string nearest = elsewhere != known.end() ? *elsewhere : nearest_word(key, known);
  fail(ErrorCode::kBadInput, origin, one_line(key), ": no such key; did you mean ", nearest, "?");
}

/// Sets the member that `key` ("layer.top_k") names.
void set_key(const std::string& key, const toml::node& node, const std::string& origin, Config& config) {
  bool found = false;
  for_each_key(config, [&](std::string_view section, const auto& one, auto& member) {
    if (fmt::format("{}.{}", section, one.name) != key) return;
    auto value = value_of(node, member);
    check(value.has_value(), origin, key, ": ", shown(node), ", must be ", allowed_words(one));
    member = *std::move(value);
    found = true;
  });
  if (!found) unknown_key(origin, key);
}

std::string origin_of(const std::string& file, const toml::source_region& source) {
  return fmt::format("{}:{}: ", file, source.begin.line);
}

[[noreturn]] void unknown_section(const std::string& origin, const std::string& name, bool is_section) {
  std::vector<std::string> sections;
  for (const std::string& key : known_keys()) sections.push_back(key.substr(0, key.find('.')));
  sections.erase(std::unique(sections.begin(), sections.end()), sections.end());
  if (is_section) {
    fail(ErrorCode::kBadInput, origin, "[", one_line(name), "]: no such section; did you mean [",
         nearest_word(name, sections), "]?");
  }
  fail(ErrorCode::kBadInput, origin, one_line(name), ": stands in no section, must be in ",
       fmt::format("[{}]", fmt::join(sections, "], [")));
}

/// Files of before say where the layer runs, which is where the model does; what they say by default means nothing.
bool has_moved(const std::string& key, const toml::node& node, const std::string& origin) {
  if (key != "layer.device") return false;
  check(node.value<std::string>() == "cpu", origin, "layer.device: is training.device now");
  return true;
}

Origins read_file_keys(const toml::table& root, const std::string& file, Config& config) {
  Origins origins;
  const std::vector<std::string> known = known_keys();
  for (const auto& [section, content] : root) {
    const std::string prefix = std::string(section.str()) + ".";
    const bool is_known = std::ranges::any_of(known, [&](const std::string& key) { return key.starts_with(prefix); });
    if (!is_known || !content.is_table()) {
      unknown_section(origin_of(file, section.source()), std::string(section.str()), content.is_table());
    }
    for (const auto& [name, node] : *content.as_table()) {
      const std::string key = prefix + std::string(name.str());
      const std::string origin = origin_of(file, name.source());
      if (has_moved(key, node, origin)) continue;
      set_key(key, node, origin, config);
      origins[key] = origin;
    }
  }
  return origins;
}

toml::table parse_text(const std::string& text, const std::string& file) {
  const std::int64_t strange = first_strange_line(text);
  check(strange == 0, file, ":", strange,
        ": a letter beyond ASCII or more than 256 dots outside of quotes, or a string of several lines; these "
        "are not for configurations");
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kBadInput, origin_of(file, error.source()), one_line(error.description()));
  }
}

/// The value of a setting: what TOML makes of the text, else the text itself.
toml::table parse_setting(const std::string& text) {
  if (first_strange_line(text) != 0) return toml::table{{"value", text}};
  try {
    toml::table table = toml::parse("value = " + text);
    if (table.size() == 1) return table;
  } catch (const toml::parse_error&) {
    return toml::table{{"value", text}};
  }
  return toml::table{{"value", text}};
}

void apply_setting(const std::string& setting, Config& config, Origins& origins) {
  const std::size_t equals = setting.find('=');
  const std::string key = setting.substr(0, equals), origin = "--set " + one_line(setting) + ": ";
  check(setting.size() <= kLongestConfig, origin, "has ", setting.size(), " bytes, at most ", kLongestConfig);
  check(equals != std::string::npos && key.find('.') != std::string::npos, origin, "must be section.key=value");
  const toml::table table = parse_setting(setting.substr(equals + 1));
  const bool known = std::ranges::count(known_keys(), key) > 0;
  if (!known) unknown_key(origin, key);
  set_key(key, *table.get("value"), origin, config);
  origins[key] = origin;
}

/// Validates, and puts in front of a message that begins with a key where that key got its value.
void validate_from(const Config& config, const std::string& file, const Origins& origins) {
  try {
    validate(config);
  } catch (const Error& error) {
    const std::string_view message = error.what();
    const auto origin = origins.find(message.substr(0, message.find(':')));
    fail(error.code(), origin == origins.end() ? file + ": " : origin->second, message);
  }
}

}  // namespace

Config parse_config(const std::string& text, const std::string& origin, std::span<const std::string> settings) {
  Config config;
  Origins origins = read_file_keys(parse_text(text, origin), origin, config);
  for (const std::string& setting : settings) apply_setting(setting, config, origins);
  config.model.layer.hidden = config.model.hidden;
  config.model.layer.norm_eps = config.model.norm_eps;
  config.model.layer.iteration_norm = config.model.residual_stream == ResidualStream::kPrenorm;
  validate_from(config, origin, origins);
  return config;
}

Config read_config(const std::filesystem::path& file, std::span<const std::string> settings) {
  const MappedFile mapped(file);
  check(mapped.bytes().size() <= kLongestConfig, file.string(), ": has ", mapped.bytes().size(),
        " bytes, a configuration has at most ", kLongestConfig);
  const std::string text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  return parse_config(text, file.string(), settings);
}

std::vector<ConfigEntry> entries_of(const Config& config) {
  std::vector<ConfigEntry> entries;
  for_each_key(config, [&](std::string_view section, const auto& key, const auto& value) {
    entries.push_back({fmt::format("{}.{}", section, key.name), toml_text(value)});
  });
  return entries;
}

std::string to_toml(const Config& config) {
  std::string text, open;
  for (const auto& [key, value] : entries_of(config)) {
    const std::string section = key.substr(0, key.find('.'));
    if (section != open) text += fmt::format("{}[{}]\n", open.empty() ? "" : "\n", section);
    open = section;
    text += fmt::format("{} = {}\n", key.substr(section.size() + 1), value);
  }
  return text;
}

}  // namespace coe
