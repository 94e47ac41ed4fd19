#include "runtime/data/text_encoding.h"

#include <algorithm>
#include <array>

#include "kernels/memory/error.h"

namespace coe {
namespace {

using namespace std::string_view_literals;

std::string_view beginning_of(std::span<const std::byte> bytes) {
  constexpr std::size_t kLooked = 4096;
  return {reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kLooked)};
}

/// Whether nearly all bytes of one half of the 16-bit numbers are 0, and nearly none of the other: Latin text in
/// UTF-16.
bool is_wide(std::string_view text, std::size_t zero_half) {
  constexpr std::size_t kFewest = 16, kTenth = 10;
  const std::size_t pairs = text.size() / 2;
  std::size_t zeros = 0, others = 0;
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    zeros += text[2 * pair + zero_half] == 0 ? 1U : 0U;
    others += text[2 * pair + 1 - zero_half] == 0 ? 1U : 0U;
  }
  return pairs >= kFewest && zeros >= pairs - pairs / kTenth && others <= pairs / kTenth;
}

/// "UTF-16LE" and its like; "" for anything else.
std::string_view wide_encoding(std::string_view text) {
  if (text.starts_with("\xff\xfe\0\0"sv)) return "UTF-32LE";
  if (text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32BE";
  if (text.starts_with("\xff\xfe"sv) || is_wide(text, 1)) return "UTF-16LE";
  return text.starts_with("\xfe\xff"sv) || is_wide(text, 0) ? "UTF-16BE" : "";
}

struct Signature {
  std::string_view bytes, kind;
};

constexpr std::array kSignatures = {Signature{"\x1f\x8b"sv, "compressed by gzip"},
                                    Signature{"\x28\xb5\x2f\xfd"sv, "compressed by zstd"},
                                    Signature{"BZh"sv, "compressed by bzip2"},
                                    Signature{"\xfd"
                                              "7zXZ\0"sv,
                                              "compressed by xz"},
                                    Signature{"PK\3\4"sv, "a ZIP archive"},
                                    Signature{"PAR1"sv, "a Parquet file"},
                                    Signature{"ARROW1"sv, "an Arrow file"},
                                    Signature{"\x93NUMPY"sv, "a NumPy array"}};

}  // namespace

std::size_t begin_of_text(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  const std::string_view text = beginning_of(bytes), wide = wide_encoding(text);
  check(wide.empty(), path.string(), ": is ", wide, ", must be UTF-8; iconv -f ", wide, " -t UTF-8 makes it so");
  return text.starts_with("\xef\xbb\xbf"sv) ? 3 : 0;
}

std::string_view not_text(std::span<const std::byte> bytes) {
  const std::string_view text = beginning_of(bytes);
  const auto* const found =
      std::ranges::find_if(kSignatures, [&](const Signature& known) { return text.starts_with(known.bytes); });
  return found == kSignatures.end() ? "" : found->kind;
}

}  // namespace coe
