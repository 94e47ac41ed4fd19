#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/data/token_source.h"

namespace coe {

/// Token i of sequence n is 10 n + i; there are five sequences.
class CountingSource : public TokenSource {
 public:
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t>) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(10 * index) + static_cast<int>(i);
  }
  bool marked() const override { return false; }
  std::int64_t sequences() const override { return 5; }
  std::int64_t vocab() const override { return 256; }
};

/// The same tokens; `marks` are those of every sequence.
class MarkedSource : public CountingSource {
 public:
  explicit MarkedSource(std::vector<std::uint8_t> marks) : marks_(std::move(marks)) {}
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    CountingSource::read(index, tokens, {});
    std::ranges::copy(marks_, marks.begin());
  }
  bool marked() const override { return true; }

 private:
  std::vector<std::uint8_t> marks_;
};

}  // namespace coe
