#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

/// sums fp32 [count], element i = the sum of all parts' element first + i, in their order. parts int64 [n] in the
/// stream's memory: addresses of fp32 memory that the device sees, and of which `sums` is none.
void sum_parts(const Tensor& parts, std::int64_t first, const Tensor& sums, const Stream& stream);

}  // namespace coe::cuda
