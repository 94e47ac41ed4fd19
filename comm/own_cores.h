#pragma once

#include <span>
#include <vector>

#include "comm/topology.h"
#include "comm/transport.h"

namespace coe {

/// What one rank of a machine gets.
struct OwnCores {
  std::vector<int> processors;  ///< one for each thread that is worth having; empty where no rank is to be bound
  int cores = 0;                ///< how many cores it is the first on: fewer than threads where threads share cores

  bool operator==(const OwnCores&) const = default;
};

/// Deals the processors of a machine to its ranks, up to `threads` to each, none to two of them: `cores` are the
/// processors of each core, `allowed` those that each rank may use. A core's first processor is dealt before its
/// others, and neighbours together; ranks that may use fewer choose first. Where there are too few, all get equally
/// fewer; where there is not one for each, none gets any: the system then does better.
std::vector<OwnCores> deal_cores(std::span<const std::vector<int>> cores, std::span<const std::vector<int>> allowed,
                                 int threads);

/// How many threads of `threads` a rank with these cores works with: more than it has processors would wait for one
/// another's turn.
int threads_worth_having(const OwnCores& own, int threads);

/// What this rank gets beside the others of its machine, each of which may use what its calling thread is bound to.
/// Collective.
OwnCores own_cores(const Topology& topology, Transport& world, int threads);

}  // namespace coe
