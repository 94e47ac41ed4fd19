#include "launcher/allocation_counter.h"

namespace coe {

std::int64_t allocations() { return -1; }

}  // namespace coe
