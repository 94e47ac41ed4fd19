#include "kernels/products/linear.h"

#include "kernels/memory/error.h"

namespace coe {
namespace {

Matrix matrix_of(const Tensor& x) { return {x.data<float>(), x.extent(0), x.extent(1), x.extent(1)}; }

/// x [rows, inputs], w [outputs, inputs] and y [rows, outputs] of one layer.
void expect_layer(const char* name, const Tensor& x, const Tensor& w, const Tensor& y) {
  expect_rank(name, x, 2);
  expect_rank(name, w, 2);
  expect_shape(name, x, {x.extent(0), w.extent(1)});
  expect_shape(name, y, {x.extent(0), w.extent(0)});
}

Tensor workspace_of(const Tensor& w, std::int64_t rows, Arena& arena) {
  return arena.make<std::uint8_t>({cuda::linear_workspace_bytes(rows, w.extent(0), w.extent(1))});
}

bool lies_within(std::int64_t first, std::int64_t count, std::int64_t extent) {
  return first >= 0 && count >= 0 && first <= extent - count;
}

}  // namespace

void linear(const Tensor& x, const Tensor& w, const Tensor& y) {
  expect_layer("linear", x, w, y);
  gemm(matrix_of(x), Transpose::kNo, matrix_of(w), Transpose::kYes, 0.0F, matrix_of(y));
}

void linear(const Tensor& x, const PackedMatrix& w, const Tensor& y) {
  expect_rank("linear", x, 2);
  expect_shape("linear", x, {x.extent(0), w.inner});
  expect_shape("linear", y, {x.extent(0), w.columns});
  gemm(matrix_of(x), Transpose::kNo, w, 0.0F, matrix_of(y));
}

PackedMatrix pack_weight(const Tensor& w, Arena& arena) {
  expect_rank("pack_weight", w, 2);
  const Tensor memory = arena.make<float>({packed_size(w.extent(1), w.extent(0))});
  return pack_matrix(matrix_of(w), Transpose::kYes, memory.data<float>());
}

void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx) {
  expect_layer("linear_input_gradient", dx, w, dy);
  if (beta != 0.0F && beta != 1.0F) {
    fail(ErrorCode::kInternal, "linear_input_gradient: beta is ", beta, ", must be 0 or 1");
  }
  gemm(matrix_of(dy), Transpose::kNo, matrix_of(w), Transpose::kNo, beta, matrix_of(dx));
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw) {
  expect_rank("linear_weight_gradient", dw, 2);
  linear_weight_gradient(dy, x, {0, dw.extent(0), 0, dw.extent(1)}, dw);
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const MatrixBlock& block, const Tensor& dw) {
  expect_layer("linear_weight_gradient", x, dw, dy);
  if (!lies_within(block.row, block.rows, dw.extent(0)) || !lies_within(block.column, block.columns, dw.extent(1))) {
    fail(ErrorCode::kInternal, "linear_weight_gradient: block [", block.row, " + ", block.rows, ", ", block.column,
         " + ", block.columns, "] of ", dw.shape().text());
  }
  const Matrix all_dy = matrix_of(dy), all_x = matrix_of(x), all_dw = matrix_of(dw);
  gemm({all_dy.data + block.row, all_dy.rows, block.rows, all_dy.stride}, Transpose::kYes,
       {all_x.data + block.column, all_x.rows, block.columns, all_x.stride}, Transpose::kNo, 1.0F,
       {all_dw.data + block.row * all_dw.stride + block.column, block.rows, block.columns, all_dw.stride});
}

LinearWeight ready_weight(const Tensor& w, Arena& arena) {
  return {w, w.on_host() ? pack_weight(w, arena) : PackedMatrix{}};
}

void linear(const Tensor& x, const Tensor& w, const Tensor& y, Arena& arena, const Stream& stream) {
  if (x.on_host()) return linear(x, w, y);
  ArenaScope scratch(arena);
  cuda::linear(x, w, y, workspace_of(w, x.extent(0), arena), stream);
}

void linear(const Tensor& x, const LinearWeight& w, const Tensor& y, Arena& arena, const Stream& stream) {
  if (x.on_host()) return linear(x, w.packed, y);
  linear(x, w.value, y, arena, stream);
}

void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, Arena& arena,
                           const Stream& stream) {
  if (dy.on_host()) return linear_input_gradient(dy, w, beta, dx);
  ArenaScope scratch(arena);
  cuda::linear_input_gradient(dy, w, beta, dx, workspace_of(w, dy.extent(0), arena), stream);
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, Arena& arena, const Stream& stream) {
  if (dy.on_host()) return linear_weight_gradient(dy, x, dw);
  ArenaScope scratch(arena);
  cuda::linear_weight_gradient(dy, x, dw, workspace_of(dw, dy.extent(0), arena), stream);
}

}  // namespace coe
