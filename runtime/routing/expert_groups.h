#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Group-limited routing (DeepSeek-V2, arXiv 2405.04434, section 2.2.2): of `groups` runs of equally many neighbouring
/// experts each token keeps the `kept` that are worth most, and ranking [T, N] becomes kClosed in all others. A group
/// is worth the sum of its two largest rankings; ties go to the lower group.
void keep_best_groups(const Tensor& ranking, std::int64_t groups, std::int64_t kept, Arena& arena);

}  // namespace coe
