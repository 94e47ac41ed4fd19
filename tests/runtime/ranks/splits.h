#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "runtime/ranks/share.h"

namespace coe {

/// Deals `total` out unevenly, later ranks more, in contiguous runs; the last of several ranks gets nothing.
inline std::vector<Share> uneven_shares(std::int64_t total, int ranks) {
  if (ranks == 1) return {{0, total}};
  std::vector<Share> shares;
  const std::int64_t busy = ranks - 1;
  const auto begin = [&](std::int64_t rank) { return total * rank * (rank + 1) / (busy * (busy + 1)); };
  for (std::int64_t rank = 0; rank < busy; ++rank) shares.push_back({begin(rank), begin(rank + 1) - begin(rank)});
  shares.push_back({total, 0});
  return shares;
}

/// The part of `all` that `share` names.
template <class T>
std::vector<T> part_of(const std::vector<T>& all, Share share) {
  return {all.begin() + share.first, all.begin() + share.first + share.count};
}

/// All of `all`, by rank.
template <class T>
std::vector<std::vector<T>> deal_unevenly(const std::vector<T>& all, int ranks) {
  std::vector<std::vector<T>> by_rank;
  for (const Share& share : uneven_shares(std::ssize(all), ranks)) by_rank.push_back(part_of(all, share));
  return by_rank;
}

}  // namespace coe
