#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/memory/tensor.h"

namespace coe {

/// Calls visit(first, count) for the rows of x [T, D], on the host fp32, in blocks of nearly even size that a
/// second-level cache holds together with what is read for them; elsewhere for all of them at once.
template <class Visit>
void for_each_token_block(const Tensor& x, const Visit& visit) {
  if (!x.on_host()) return visit(0, x.extent(0));
  constexpr std::int64_t kBytes = std::int64_t{1} << 17;
  const std::int64_t rows = x.extent(0), bytes = rows * x.extent(1) * static_cast<std::int64_t>(sizeof(float));
  std::int64_t blocks = std::min(rows, (bytes + kBytes - 1) / kBytes);
  for (std::int64_t first = 0, count = 0; first < rows; first += count, --blocks) {
    count = (rows - first) / blocks;
    visit(first, count);
  }
}

}  // namespace coe
