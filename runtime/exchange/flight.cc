#include "runtime/exchange/flight.h"

#include <algorithm>
#include <limits>

#include "kernels/routing/route.h"
#include "kernels/routing/rows.h"

namespace coe {

void add_rest(const Combination& combination, std::int64_t first, std::int64_t count) {
  const Tensor sums = combination.sum.rows(first, count);
  for (const Tensor& addend : {combination.shared, combination.residual}) {
    if (addend.elements() > 0) add(addend.rows(first, count), 1, sums);
  }
  const bool lost = combination.lost.elements() > 0 && *combination.lost.data<std::int32_t>() != cuda::kNoneLost;
  if (lost) std::ranges::fill(sums.span<float>(), std::numeric_limits<float>::quiet_NaN());
}

}  // namespace coe
