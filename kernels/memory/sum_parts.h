#pragma once

#include <cstdint>

#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"

namespace coe::cuda {

/// Element i of [first, first + count) of every part becomes the sum of all parts' element i, in their order. parts
/// int64 [n] in the stream's memory: addresses of fp32 memory that the device sees.
void sum_parts(const Tensor& parts, std::int64_t first, std::int64_t count, const Stream& stream);

}  // namespace coe::cuda
