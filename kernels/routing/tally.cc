#include "kernels/routing/tally.h"

#include <algorithm>
#include <functional>

#include "kernels/memory/error.h"

namespace coe {

void tally(const Tensor& counts, const Tensor& sums, const Stream& stream) {
  if (counts.elements() != sums.elements()) {
    fail(ErrorCode::kInternal, "tally: ", counts.elements(), " counts for ", sums.elements(), " sums");
  }
  if (!counts.on_host()) return cuda::tally(counts, sums, stream);
  const auto to = sums.span<std::int64_t>();
  std::ranges::transform(to, counts.span<std::int32_t>(), to.begin(), std::plus<>());
}

}  // namespace coe
