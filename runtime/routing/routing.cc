#include "runtime/routing/routing.h"

#include <algorithm>

#include "kernels/routing/buckets.h"

namespace coe {

void count_choices(const Routing& routing, std::int64_t first, std::int64_t tokens, std::span<std::int32_t> counts) {
  std::ranges::fill(counts, 0);
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* expert = routing.expert.data<std::int32_t>();
  for (std::int32_t j = offsets[first]; j < offsets[first + tokens]; ++j) ++counts[static_cast<std::size_t>(expert[j])];
}

ChoiceCounts count_choices(const cuda::DeviceChoices& choices, const Tensor& kept, std::int64_t experts, Arena& arena,
                           const Stream& stream) {
  const std::int64_t tokens = choices.offsets.extent(0) - 1;
  const std::int64_t blocks = std::max<std::int64_t>(1, (tokens + cuda::kTokensPerBlock - 1) / cuda::kTokensPerBlock);
  const ChoiceCounts counts{arena.make<std::int32_t>({1, experts}), arena.make<std::int32_t>({blocks, experts})};
  cuda::count_buckets(choices.offsets, choices.expert, kept, counts.earlier, stream);
  cuda::scan_buckets(counts.earlier, counts.totals.reshaped({experts}), stream);
  return counts;
}

}  // namespace coe
