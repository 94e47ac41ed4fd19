#include "runtime/routing/routing.h"

#include <algorithm>

namespace coe {

void count_choices(const Routing& routing, std::int64_t first, std::int64_t tokens, std::span<std::int32_t> counts) {
  std::ranges::fill(counts, 0);
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* expert = routing.expert.data<std::int32_t>();
  for (std::int32_t j = offsets[first]; j < offsets[first + tokens]; ++j) ++counts[static_cast<std::size_t>(expert[j])];
}

}  // namespace coe
