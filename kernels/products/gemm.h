#pragma once

#include <cstdint>

namespace coe {

enum class Transpose : bool { kNo, kYes };

/// Rows of floats that start `stride` elements apart; owns nothing.
struct Matrix {
  float* data;
  std::int64_t rows, columns, stride;
};

/// out = op(a) op(b) + beta out, in fp32, row-major, on the calling thread.
///
/// op(a) is [M, K], op(b) [K, N], out [M, N]: the caller's promise. beta is 0 (out may hold anything, NaN included) or
/// 1. M, N or K may be 0. An element is summed in ascending k, so that its bits depend on its row of op(a) and its
/// column of op(b) alone. The only memory taken is a block of the calling thread's, once.
void gemm(const Matrix& a, Transpose transpose_a, const Matrix& b, Transpose transpose_b, float beta,
          const Matrix& out);

/// op(b) [K, N] in the order in which products read it; views memory.
struct PackedMatrix {
  const float* data;
  std::int64_t inner, columns;  ///< K, N
};

/// Floats of memory that a packed [inner, columns] takes: columns rounded up to whole vectors.
std::int64_t packed_size(std::int64_t inner, std::int64_t columns);

/// Packs op(b) into `memory`: for a matrix that many products of few rows have in common, of whose time packing would
/// take the most.
PackedMatrix pack_matrix(const Matrix& b, Transpose transpose_b, float* memory);

/// The same product, with the same bits.
void gemm(const Matrix& a, Transpose transpose_a, const PackedMatrix& b, float beta, const Matrix& out);

}  // namespace coe
