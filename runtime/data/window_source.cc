#include "runtime/data/window_source.h"

#include <utility>

#include "kernels/memory/error.h"
#include "runtime/data/permutation.h"

namespace coe {

WindowSource::WindowSource(std::shared_ptr<const TokenArray> tokens, WindowRange range, std::int64_t sequence,
                           std::int64_t vocab, std::optional<RandomKey> shuffle)
    : tokens_(std::move(tokens)), range_(range), sequence_(sequence), vocab_(vocab), shuffle_(shuffle) {
  const std::int64_t end = (range.first + range.count) * sequence + 1;
  check(range.count > 0 && end <= tokens_->size(), "window source: windows end at token ", end, ", there are ",
        tokens_->size());
}

void WindowSource::read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const {
  check(index >= 0 && std::cmp_equal(tokens.size(), sequence_ + 1), "window source: sequence ", index, " of ",
        tokens.size(), " tokens is asked for, must be of ", sequence_ + 1);
  const std::int64_t epoch = index / range_.count;
  std::int64_t window = index % range_.count;
  if (shuffle_) {
    const RandomKey order{random_bits(*shuffle_, static_cast<std::uint64_t>(epoch)), shuffle_->stream};
    window = static_cast<std::int64_t>(
        permute(order, static_cast<std::uint64_t>(window), static_cast<std::uint64_t>(range_.count)));
  }
  tokens_->copy((range_.first + window) * sequence_, tokens, marks);
}

}  // namespace coe
