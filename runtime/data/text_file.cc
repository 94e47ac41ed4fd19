#include "runtime/data/text_file.h"

#include <algorithm>

#include "kernels/memory/error.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

class TextFile final : public TokenArray {
 public:
  TextFile(const std::filesystem::path& path, std::int64_t vocab) : file_(path) {
    const auto bytes = file_.bytes();
    const auto bad = std::find_if(bytes.begin(), bytes.end(),
                                  [&](std::byte byte) { return std::to_integer<std::int64_t>(byte) >= vocab; });
    check(bad == bytes.end(), path.string(), ": byte ", bad - bytes.begin(), " is ",
          bad == bytes.end() ? 0 : std::to_integer<int>(*bad), ", must be below model.vocab, which is ", vocab);
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(file_.bytes().size()); }

  void copy(std::int64_t first, std::span<std::int32_t> tokens) const override {
    const auto source = file_.bytes().subspan(static_cast<std::size_t>(first), tokens.size());
    std::transform(source.begin(), source.end(), tokens.begin(), std::to_integer<std::int32_t>);
  }

 private:
  MappedFile file_;
};

}  // namespace

std::unique_ptr<TokenArray> open_text_file(const std::filesystem::path& path, std::int64_t vocab) {
  return std::make_unique<TextFile>(path, vocab);
}

}  // namespace coe
