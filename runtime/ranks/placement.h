#pragma once

#include <cstdint>
#include <vector>

#include "runtime/ranks/share.h"

namespace coe {

/// Which rank of the expert-parallel group holds which expert: contiguous runs, as even as possible. A rank may hold
/// none.
class Placement {
 public:
  Placement(std::int64_t experts, int ranks);

  std::int64_t experts() const { return static_cast<std::int64_t>(rank_of_.size()); }
  int ranks() const { return static_cast<int>(shares_.size()); }
  int rank_of(std::int64_t expert) const { return rank_of_[static_cast<std::size_t>(expert)]; }
  /// The global ids of a rank's experts.
  Share experts_of(int rank) const { return shares_[static_cast<std::size_t>(rank)]; }

 private:
  std::vector<int> rank_of_;
  std::vector<Share> shares_;
};

}  // namespace coe
