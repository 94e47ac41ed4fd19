#include "runtime/data/text_file.h"

#include <algorithm>

#include "kernels/memory/error.h"
#include "runtime/data/text_encoding.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

class TextFile final : public TokenArray {
 public:
  TextFile(const std::filesystem::path& path, bool is_text, std::int64_t vocab)
      : path_(path), vocab_(vocab), file_(path), begin_(begin_of_text(file_.bytes(), path)) {
    const std::string_view kind = is_text ? "" : not_text(file_.bytes());
    check(kind.empty(), path.string(), ": is ", kind, ", must be text, JSONL (.jsonl) or tokens (.bin); ",
          "data.format = \"text\" takes its bytes as they are");
    check(size() > 0, path.string(), ": holds no text");
    check_bytes(0, std::min(size(), kLookedThrough));
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(file_.bytes().size() - begin_); }

  void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    const auto count = static_cast<std::int64_t>(tokens.size());
    if (first + count > kLookedThrough) check_bytes(first, count);
    std::ranges::transform(bytes(first, count), tokens.begin(), std::to_integer<std::int32_t>);
    std::ranges::fill(marks, std::uint8_t{0});
  }

 private:
  std::span<const std::byte> bytes(std::int64_t first, std::int64_t count) const {
    return file_.bytes().subspan(begin_ + static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  }

  void check_bytes(std::int64_t first, std::int64_t count) const {
    constexpr std::int64_t kByteVocab = 256;
    if (vocab_ >= kByteVocab) return;
    const auto some = bytes(first, count);
    const auto bad = std::ranges::find_if(some, [&](std::byte byte) { return std::to_integer<int>(byte) >= vocab_; });
    if (bad == some.end()) return;
    fail(ErrorCode::kBadInput, path_.string(), ": byte ", first + (bad - some.begin()), " is ",
         std::to_integer<int>(*bad), ", must be below model.vocab, which is ", vocab_);
  }

  std::filesystem::path path_;
  std::int64_t vocab_;
  MappedFile file_;
  std::size_t begin_;
};

}  // namespace

std::unique_ptr<TokenArray> open_text_file(const std::filesystem::path& path, bool is_text, std::int64_t vocab) {
  return std::make_unique<TextFile>(path, is_text, vocab);
}

}  // namespace coe
