#include "runtime/ranks/placement.h"

#include <algorithm>
#include <numeric>

#include "kernels/memory/error.h"

namespace coe {
namespace {

std::vector<ExpertIds> dealt_out(std::int64_t experts, int ranks) {
  check(experts >= 1, "placement: experts is ", experts, ", at least 1 is needed");
  check(ranks >= 1, "placement: ranks is ", ranks, ", at least 1 is needed");
  std::vector<ExpertIds> held;
  for (int rank = 0; rank < ranks; ++rank) held.emplace_back(share_of(experts, ranks, rank));
  return held;
}

}  // namespace

ExpertIds::ExpertIds(std::int64_t first, std::int64_t count) : ids_(static_cast<std::size_t>(count)) {
  std::iota(ids_.begin(), ids_.end(), first);
}

Placement::Placement(std::int64_t experts, int ranks) : Placement(dealt_out(experts, ranks)) {}

Placement::Placement(std::vector<ExpertIds> held) : held_(std::move(held)) {
  std::int64_t experts = 0;
  for (const ExpertIds& ids : held_) experts += ids.count();
  check(experts >= 1, "placement: ranks hold no expert, at least 1 is needed");
  constexpr int kNobody = -1;
  rank_of_.assign(static_cast<std::size_t>(experts), kNobody);
  for (int rank = 0; rank < ranks(); ++rank) {
    for (const std::int64_t expert : experts_of(rank)) {
      check(expert >= 0 && expert < experts, "placement: rank ", rank, " holds expert ", expert, ", there are ",
            experts);
      int& holder = rank_of_[static_cast<std::size_t>(expert)];
      check(holder == kNobody, "placement: expert ", expert, " is held by rank ", holder, " and by rank ", rank);
      holder = rank;
    }
  }
}

std::int64_t Placement::most_held() const {
  std::int64_t most = 0;
  for (const ExpertIds& ids : held_) most = std::max(most, ids.count());
  return most;
}

}  // namespace coe
