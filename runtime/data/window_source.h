#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kernels/memory/random.h"
#include "runtime/data/token_array.h"
#include "runtime/data/token_source.h"

namespace coe {

/// Windows [first, first + count) of a TokenArray. Window k holds tokens k S to k S + S, both included, so that every
/// token but the first is a label once.
struct WindowRange {
  std::int64_t first = 0, count = 0;
};

/// A finite TokenSource: the windows of a range, every epoch in another order where `shuffle` names one, else always in
/// the file's order; a sequence number beyond the last window begins the next epoch.
class WindowSource final : public TokenSource {
 public:
  /// `tokens` must be complete and hold all of `range`; `sequence` is S.
  WindowSource(std::shared_ptr<const TokenArray> tokens, WindowRange range, std::int64_t sequence, std::int64_t vocab,
               std::optional<RandomKey> shuffle);
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override;
  bool marked() const override { return tokens_->marked(); }
  std::int64_t sequences() const override { return range_.count; }
  std::int64_t vocab() const override { return vocab_; }

 private:
  std::shared_ptr<const TokenArray> tokens_;
  WindowRange range_;
  std::int64_t sequence_, vocab_;
  std::optional<RandomKey> shuffle_;
};

}  // namespace coe
