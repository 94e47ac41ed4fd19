#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "runtime/ranks/placement.h"

namespace coe {

/// Experts dealt out in a shuffled order, unevenly: a rank may hold none beside one that holds several.
inline Placement shuffled_placement(std::int64_t experts, int ranks, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int64_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::shuffle(order, random);
  std::vector<std::vector<std::int64_t>> ids(static_cast<std::size_t>(ranks));
  for (const std::int64_t expert : order) ids[random() % ids.size()].push_back(expert);
  std::vector<ExpertIds> held;
  for (std::vector<std::int64_t>& mine : ids) held.emplace_back(std::move(mine));
  return Placement(std::move(held));
}

}  // namespace coe
