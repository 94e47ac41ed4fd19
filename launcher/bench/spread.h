#pragma once

#include <vector>

namespace coe {

/// What was measured several times.
struct Spread {
  double median = 0, min = 0, max = 0;
};

/// Of at least one value; of an even number of them the upper of the middle two is the median.
Spread spread_of(std::vector<double> values);

/// Of above[i] / below[i], for what was measured in turns: what disturbs both of a turn cancels out.
Spread spread_of_ratio(const std::vector<double>& above, const std::vector<double>& below);

}  // namespace coe
