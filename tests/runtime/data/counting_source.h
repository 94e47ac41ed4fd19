#pragma once

#include "runtime/data/token_source.h"

namespace coe {

/// Token i of sequence n is 10 n + i; there are five sequences.
class CountingSource : public TokenSource {
 public:
  void read(std::int64_t index, std::span<std::int32_t> tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i)
      tokens[i] = static_cast<std::int32_t>(10 * index) + static_cast<int>(i);
  }
  std::int64_t sequences() const override { return 5; }
  std::int64_t vocab() const override { return 256; }
};

}  // namespace coe
