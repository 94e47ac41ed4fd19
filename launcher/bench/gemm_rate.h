#pragma once

#include <string_view>
#include <vector>

#include "kernels/memory/tensor.h"

namespace coe {

/// The ways to a product that time_gemm() knows: the own one and those of the libraries that this build has.
std::vector<std::string_view> gemm_ways();
/// Seconds of one y = x W^T, x [M, K], w [N, K], y [M, N], computed in one of those ways, on the calling thread.
/// Throws kBadInput for another way.
double time_gemm(std::string_view way, const Tensor& x, const Tensor& w, const Tensor& y);

}  // namespace coe
