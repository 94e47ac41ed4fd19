#pragma once

#include <cstdint>
#include <span>

#include "kernels/memory/tensor.h"

namespace coe {

/// bias[i] += rate * sign(mean(load) - load[i]), load [N] choices of one (layer, iteration) over a whole step and all
/// ranks: balance without a loss (Wang et al. 2024, arXiv 2408.15664; DeepSeek-V3, arXiv 2412.19437, section 2.1.2).
void update_router_bias(float rate, std::span<const std::int64_t> load, const Tensor& bias);

}  // namespace coe
