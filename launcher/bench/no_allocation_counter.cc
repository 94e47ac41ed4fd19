#include "launcher/bench/allocation_counter.h"

namespace coe {

std::optional<AllocationCounts> allocation_counts() { return std::nullopt; }

}  // namespace coe
