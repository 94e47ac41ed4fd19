#include "runtime/config/toml_characters.h"

namespace coe {

std::int64_t first_strange_line(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  constexpr std::string_view kQuotes = "\"'#";
  constexpr int kMostDots = 256;
  std::int64_t line = 1;
  int dots = 0;
  char inside = 0;  // the quote of the string, or the # of the comment, that the next character stands in
  for (std::size_t i = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      inside = 0;
      dots = 0;
    } else if (inside == 0) {
      const std::string_view three = text.substr(i, 3);
      if (static_cast<unsigned char>(c) >= 0x80 || three == "\"\"\"" || three == "'''") return line;
      if (c == '.' && ++dots > kMostDots) return line;
      if (kQuotes.find(c) != kQuotes.npos) inside = c;
    } else if (inside == '"' && c == '\\' && text.substr(i + 1, 1) != "\n") {
      ++i;
    } else if (c == inside && c != '#') {
      inside = 0;
    }
  }
  return 0;
}

}  // namespace coe
