#pragma once

#include <cstdint>

#include "kernels/gemm.h"

namespace coe {

/// Rows of floats that start `stride` elements apart; owns nothing.
struct Matrix {
  float* data;
  std::int64_t rows, columns, stride;
};

/// gemm() on strided matrices; shapes are the caller's promise.
void multiply(const Matrix& a, Transpose transpose_a, const Matrix& b, Transpose transpose_b, float beta,
              const Matrix& out);

}  // namespace coe
