#include "runtime/config/toml_text.h"

#include <algorithm>

namespace coe {

std::string toml_text(const std::string& text) {
  std::string quoted;
  for (const char c : text) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    if (control) quoted += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    if (c == '"' || c == '\\') quoted += '\\';
    if (!control) quoted += c;
  }
  return "\"" + quoted + "\"";
}

std::string toml_text(const std::filesystem::path& path) { return toml_text(path.string()); }

std::string toml_text(const std::vector<std::string>& list) {
  std::vector<std::string> texts(list.size());
  std::ranges::transform(list, texts.begin(), [](const std::string& text) { return toml_text(text); });
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace coe
