#include "runtime/training/step_report.h"

#include <algorithm>
#include <numeric>

namespace coe {

double RoutingReport::load_max_over_mean() const {
  const auto total = std::accumulate(load.begin(), load.end(), std::int64_t{0});
  if (total == 0) return 0;
  const auto largest = *std::max_element(load.begin(), load.end());
  return static_cast<double>(largest) * static_cast<double>(load.size()) / static_cast<double>(total);
}

int RoutingReport::idle_experts() const { return static_cast<int>(std::count(load.begin(), load.end(), 0)); }

double RoutingReport::sparsity() const {
  const auto pairs = static_cast<double>(tokens) * static_cast<double>(load.size());
  if (pairs == 0) return 0;
  const auto chosen = std::accumulate(load.begin(), load.end(), std::int64_t{0});
  return 1 - static_cast<double>(chosen) / pairs;
}

}  // namespace coe
