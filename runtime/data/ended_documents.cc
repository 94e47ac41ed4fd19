#include "runtime/data/ended_documents.h"

#include <algorithm>
#include <utility>

namespace coe {
namespace {

class EndedDocuments final : public TokenArray {
 public:
  EndedDocuments(std::unique_ptr<TokenArray> tokens, std::int32_t end_token)
      : tokens_(std::move(tokens)), end_token_(end_token) {}

  std::int64_t size() const override { return tokens_->size(); }
  bool marked() const override { return true; }

  void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    tokens_->copy(first, tokens, {});
    if (marks.empty()) return;
    std::int32_t before = end_token_;
    if (first > 0) tokens_->copy(first - 1, {&before, 1}, {});
    for (std::size_t i = 0; i < marks.size(); before = tokens[i++]) {
      marks[i] = before == end_token_ ? std::uint8_t{kBegins} : std::uint8_t{0};
    }
  }

 private:
  std::unique_ptr<TokenArray> tokens_;
  std::int32_t end_token_;
};

}  // namespace

std::unique_ptr<TokenArray> with_ended_documents(std::unique_ptr<TokenArray> tokens, std::int32_t end_token) {
  return std::make_unique<EndedDocuments>(std::move(tokens), end_token);
}

}  // namespace coe
