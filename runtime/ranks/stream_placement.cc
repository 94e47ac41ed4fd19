#include "runtime/ranks/stream_placement.h"

#include "kernels/memory/copy.h"

namespace coe {
namespace {

/// Where ranks begin, all experts by (rank, local order), and the rank of each expert.
std::vector<std::int32_t> numbers_of(const Placement& placement) {
  std::vector<std::int32_t> numbers(1, 0), order;
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    for (const std::int64_t expert : placement.experts_of(rank)) order.push_back(static_cast<std::int32_t>(expert));
    numbers.push_back(static_cast<std::int32_t>(order.size()));
  }
  numbers.insert(numbers.end(), order.begin(), order.end());
  for (std::int64_t e = 0; e < placement.experts(); ++e) numbers.push_back(placement.rank_of(e));
  return numbers;
}

}  // namespace

StreamPlacement::StreamPlacement(const Placement& placement, const Stream& stream)
    : numbers_(numbers_of(placement)), memory_(numbers_.size() * sizeof(std::int32_t), stream.device()) {
  const std::int64_t begins = placement.ranks() + 1, experts = placement.experts();
  const Tensor here(numbers_.data(), DType::kI32, {std::ssize(numbers_)});
  const Tensor there(memory_.data(), DType::kI32, here.shape(), stream.device());
  first_ = here.rows(0, begins);
  holders_ = {there.rows(0, begins), there.rows(begins, experts), there.rows(begins + experts, experts)};
  copy(here, there, stream);
}

}  // namespace coe
