#include "runtime/routing/router_bias.h"

#include <numeric>

namespace coe {

void update_router_bias(float rate, std::span<const std::int64_t> load, const Tensor& bias) {
  const auto values = bias.span<float>();
  const std::int64_t sum = std::accumulate(load.begin(), load.end(), std::int64_t{0});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t scaled = load[i] * std::ssize(load);  // compares with the sum as load with the mean
    if (scaled < sum) values[i] += rate;
    if (scaled > sum) values[i] -= rate;
  }
}

}  // namespace coe
