#include "launcher/bench/spread.h"

#include <algorithm>
#include <functional>

#include "kernels/memory/error.h"

namespace coe {

Spread spread_of(std::vector<double> values) {
  check(!values.empty(), "spread: there are no values, must be at least one");
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

Spread spread_of_ratio(const std::vector<double>& above, const std::vector<double>& below) {
  check(above.size() == below.size(), "spread: there are ", above.size(), " values above, must be as many as below, ",
        below.size());
  std::vector<double> ratios(above.size());
  std::ranges::transform(above, below, ratios.begin(), std::divides<>());
  return spread_of(ratios);
}

}  // namespace coe
