#include "launcher/train/sample_token.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/memory/error.h"

namespace coe {

std::int32_t sample_token(std::span<const float> logits, double temperature, double uniform) {
  check(temperature >= 0, "generate: temperature is ", temperature, ", must be at least 0");
  check(!logits.empty(), "generate: there are no logits to draw from");
  const auto best = std::max_element(logits.begin(), logits.end());
  if (temperature == 0) return static_cast<std::int32_t>(best - logits.begin());
  std::vector<double> cumulative;
  cumulative.reserve(logits.size());
  double total = 0;
  for (const float logit : logits) {
    total += std::exp((static_cast<double>(logit) - static_cast<double>(*best)) / temperature);
    cumulative.push_back(total);
  }
  const auto place = std::upper_bound(cumulative.begin(), cumulative.end(), uniform * total);
  const auto last = static_cast<std::int32_t>(logits.size()) - 1;
  return std::min(static_cast<std::int32_t>(place - cumulative.begin()), last);
}

}  // namespace coe
