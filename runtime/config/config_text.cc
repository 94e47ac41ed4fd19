#include "runtime/config/config_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "kernels/memory/error.h"
#include "runtime/config/allowed_words.h"
#include "runtime/config/config_keys.h"
#include "runtime/config/toml_text.h"

namespace coe {
namespace {

/// Where the words beside values begin, as far as values leave room.
constexpr int kValueWidth = 36;

/// Whether a key may keep its default; where not, a file must give it. Bounds are other keys' and count later.
template <class Allowed, class Member>
bool may_keep([[maybe_unused]] const Allowed& allowed, [[maybe_unused]] const Member& standard) {
  if constexpr (std::is_same_v<Allowed, Whole>) {
    const auto number = static_cast<std::int64_t>(standard);
    return number >= allowed.low && number <= allowed.high;
  } else if constexpr (std::is_same_v<Allowed, OfItsType>) {
    return true;
  } else {
    return admits(allowed, standard);
  }
}

std::string explained(const KeyText& key) {
  const std::string value = fmt::format("{} = {}", key.name, key.value);
  const std::string standard = key.standard.empty() ? "must be given" : "default " + key.standard;
  return fmt::format("# {}\n{:<{}} # {} {}; {}\n", key.meaning, value, kValueWidth, key.is_default ? ' ' : '*',
                     standard, key.allowed);
}

}  // namespace

std::vector<KeyText> key_texts(const Config& config) {
  std::vector<KeyText> texts;
  for_each_key(config, [&](std::string_view section, const auto& key, const auto& value) {
    texts.push_back({.section = std::string(section),
                     .name = std::string(key.name),
                     .value = toml_text(value),
                     .standard = "",
                     .allowed = allowed_words(key),
                     .meaning = key.meaning});
  });
  auto text = texts.begin();
  const Config standards;
  for_each_key(standards, [&](std::string_view, const auto& key, const auto& standard) {
    if (may_keep(key.allowed, standard)) text->standard = toml_text(standard);
    text->is_default = text->value == text->standard;
    ++text;
  });
  return texts;
}

std::string explained_toml(const Config& config) {
  std::string text, open;
  for (const KeyText& key : key_texts(config)) {
    if (key.section != open) text += fmt::format("{}[{}]\n", open.empty() ? "" : "\n", key.section);
    open = key.section;
    text += explained(key);
  }
  return text;
}

std::string option_help(std::string_view key) {
  const std::vector<KeyText> texts = key_texts({});
  const auto named = [&](const KeyText& text) { return text.section + "." + text.name == key; };
  const auto found = std::ranges::find_if(texts, named);
  check(found != texts.end(), key, ": no such key");
  return fmt::format("{}: {}", key, found->meaning);
}

}  // namespace coe
