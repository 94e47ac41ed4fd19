#include "runtime/ranks/placement.h"

#include "kernels/memory/error.h"

namespace coe {

Placement::Placement(std::int64_t experts, int ranks) {
  check(experts >= 1, "placement: experts is ", experts, ", at least 1 is needed");
  check(ranks >= 1, "placement: ranks is ", ranks, ", at least 1 is needed");
  for (int rank = 0; rank < ranks; ++rank) {
    shares_.push_back(share_of(experts, ranks, rank));
    rank_of_.insert(rank_of_.end(), static_cast<std::size_t>(shares_.back().count), rank);
  }
}

}  // namespace coe
