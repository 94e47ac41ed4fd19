#pragma once

#include <span>
#include <string_view>

#include "kernels/memory/tensor.h"

namespace coe {

/// The ways to a product that time_gemm() knows.
std::span<const std::string_view> gemm_ways();
/// Seconds of one y = x W^T, x [M, K], w [N, K], y [M, N], computed in one of those ways, on the calling thread.
/// OpenBLAS, which Debian builds without locks, runs one product at a time in a process. Throws kBadInput for another
/// way.
double time_gemm(std::string_view way, const Tensor& x, const Tensor& w, const Tensor& y);

}  // namespace coe
