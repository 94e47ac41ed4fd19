#include "runtime/data/token_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/data/text_encoding.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

constexpr std::int64_t kVocabOf16Bits = std::int64_t{1} << 16;

std::int64_t bytes_of(TokenWidth width) { return static_cast<std::int64_t>(width); }
int bits_of(TokenWidth width) { return 8 * static_cast<int>(width); }
std::string_view format_of(TokenWidth width) { return width == TokenWidth::k16 ? "tokens" : "tokens32"; }

/// A header of llm.c's dev/data/data_common.py.
struct Header {
  std::int32_t magic, version;
  TokenWidth width;
};
constexpr std::array kHeaders = {Header{20240520, 1, TokenWidth::k16}, Header{20240801, 7, TokenWidth::k32}};
constexpr std::int64_t kHeaderBytes = 256 * sizeof(std::int32_t);

/// Where the tokens of a file stand and how wide they are.
struct Layout {
  TokenWidth width = TokenWidth::k16;
  std::int64_t begin = 0, tokens = 0;
};

/// Little-endian, as every machine is that this runs on.
template <class Number>
Number number_of(const std::byte* bytes) {
  Number number;
  std::memcpy(&number, bytes, sizeof number);
  return number;
}

std::int32_t field_of_header(std::span<const std::byte> bytes, std::size_t index) {
  return number_of<std::int32_t>(bytes.data() + index * sizeof(std::int32_t));
}

const Header* header_of(std::span<const std::byte> bytes) {
  if (std::cmp_less(bytes.size(), kHeaderBytes)) return nullptr;
  const auto* const found =
      std::ranges::find_if(kHeaders, [&](const Header& known) { return known.magic == field_of_header(bytes, 0); });
  return found == kHeaders.end() ? nullptr : found;
}

Layout layout_by_header(const Header& header, std::span<const std::byte> bytes, std::optional<TokenWidth> wanted,
                        const std::string& name) {
  const std::int32_t version = field_of_header(bytes, 1), tokens = field_of_header(bytes, 2);
  check(version == header.version, name, ": has llm.c's header ", header.magic, " of version ", version, ", must be ",
        header.version);
  check(!wanted || *wanted == header.width, name, ": has tokens of ", bits_of(header.width),
        " bits by its header, data.format must be \"", format_of(header.width), "\" or \"auto\"");
  const std::int64_t there = (static_cast<std::int64_t>(bytes.size()) - kHeaderBytes) / bytes_of(header.width);
  check(tokens > 0 && tokens == there, name, ": has ", there, " tokens, ", tokens, " by its header");
  return {header.width, kHeaderBytes, tokens};
}

Layout layout_of(std::span<const std::byte> bytes, std::optional<TokenWidth> wanted, const std::string& name) {
  if (const Header* const header = header_of(bytes)) return layout_by_header(*header, bytes, wanted, name);
  const std::string_view kind = not_text(bytes);
  check(kind.empty(), name, ": is ", kind, ", must be tokens and nothing else");
  const TokenWidth width = wanted.value_or(TokenWidth::k16);
  check(std::cmp_equal(bytes.size() % static_cast<std::size_t>(width), 0), name, ": has ", bytes.size(),
        " bytes, must have ", width == TokenWidth::k16 ? "two" : "four", " for each token");
  return {width, 0, static_cast<std::int64_t>(bytes.size()) / bytes_of(width)};
}

class TokenFile final : public TokenArray {
 public:
  TokenFile(const std::filesystem::path& path, std::optional<TokenWidth> width, std::int64_t vocab)
      : name_(path.string()), vocab_(vocab), file_(path), layout_(layout_of(file_.bytes(), width, name_)) {
    check(layout_.width == TokenWidth::k32 || vocab <= kVocabOf16Bits, name_,
          ": tokens of 16 bits cannot name a model.vocab of ", vocab,
          "; for tokens of 32 bits say data.format = ", "\"tokens32\"");
    check_width();
    for (std::int64_t i = 0; i < looked_through(); ++i) check_token(i, at(i));
  }

  std::int64_t size() const override { return layout_.tokens; }

  void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    for (std::int32_t& token : tokens) {
      const std::uint32_t number = at(first);
      check_token(first++, number);
      token = static_cast<std::int32_t>(number);
    }
    std::ranges::fill(marks, std::uint8_t{0});
  }

 private:
  std::int64_t looked_through() const { return std::min(size(), kLookedThrough / bytes_of(layout_.width)); }

  std::uint32_t at(std::int64_t index) const {
    const std::byte* const begin = file_.bytes().data() + layout_.begin + bytes_of(layout_.width) * index;
    return layout_.width == TokenWidth::k16 ? number_of<std::uint16_t>(begin) : number_of<std::uint32_t>(begin);
  }

  void check_token(std::int64_t index, std::uint32_t number) const {
    if (number < static_cast<std::uint64_t>(vocab_)) return;
    fail(ErrorCode::kBadInput, name_, ": token ", index, " is ", number, ", must be below model.vocab, which is ",
         vocab_);
  }

  /// Numbers of twice the width have every other half 0.
  void check_width() const {
    constexpr std::int64_t kFewest = 16;
    const std::int64_t pairs = looked_through() / 2;
    std::int64_t others = 0;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      if (at(2 * pair + 1) != 0) return;
      others += at(2 * pair) != 0 ? 1 : 0;
    }
    if (pairs < kFewest || others <= pairs / 2) return;
    fail(ErrorCode::kBadInput, name_, ": every other token of ", bits_of(layout_.width),
         " bits is 0, as where tokens of ", 2 * bits_of(layout_.width), " bits are read as such; ",
         layout_.width == TokenWidth::k16 ? "say data.format = \"tokens32\"" : "write them as 32 bits");
  }

  std::string name_;
  std::int64_t vocab_;
  MappedFile file_;
  Layout layout_;
};

}  // namespace

std::unique_ptr<TokenArray> open_token_file(const std::filesystem::path& path, std::optional<TokenWidth> width,
                                            std::int64_t vocab) {
  return std::make_unique<TokenFile>(path, width, vocab);
}

}  // namespace coe
