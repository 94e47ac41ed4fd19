#include "runtime/data/token_file.h"

#include "kernels/memory/error.h"
#include "runtime/files/mapped_file.h"

namespace coe {

namespace {

class TokenFile final : public TokenArray {
 public:
  TokenFile(const std::filesystem::path& path, std::int64_t vocab) : file_(path) {
    check(file_.bytes().size() % 2 == 0, path.string(), ": has ", file_.bytes().size(),
          " bytes, must have two for each token");
    for (std::int64_t i = 0; i < size(); ++i) {
      if (at(i) >= vocab)
        fail(ErrorCode::kBadInput, path.string(), ": token ", i, " is ", at(i),
             ", must be below model.vocab, which is ", vocab);
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(file_.bytes().size() / 2); }

  void copy(std::int64_t first, std::span<std::int32_t> tokens) const override {
    for (std::int32_t& token : tokens) token = at(first++);
  }

 private:
  std::int32_t at(std::int64_t index) const {
    const auto bytes = file_.bytes().subspan(2 * static_cast<std::size_t>(index), 2);
    return std::to_integer<std::int32_t>(bytes[0]) | std::to_integer<std::int32_t>(bytes[1]) << 8;
  }

  MappedFile file_;
};

}  // namespace

std::unique_ptr<TokenArray> open_token_file(const std::filesystem::path& path, std::int64_t vocab) {
  return std::make_unique<TokenFile>(path, vocab);
}

}  // namespace coe
