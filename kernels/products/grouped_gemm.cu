#include "kernels/products/grouped_gemm.h"
#include "kernels/products/grouped_product.cuh"
#include "kernels/products/linear.h"

namespace coe::cuda {
namespace {

/// `workspace` may be empty where there are no groups.
void run(Wanted wanted, GroupedProduct product, const Tensor& left, const Tensor& right, const Tensor& out,
         const Tensor& workspace, const Stream& stream) {
  expect_same_dtype("product", left, right);
  if (product.beta != 0.0F && product.beta != 1.0F) {
    fail(ErrorCode::kInternal, "product: beta is ", product.beta, ", must be 0 or 1");
  }
  const bool half = left.dtype() == DType::kBF16, half_out = out.dtype() == DType::kBF16;
  if (!half && left.dtype() != DType::kF32) {
    fail(ErrorCode::kInternal, "product: dtype is ", name_of(left.dtype()), ", must be F32 or BF16");
  }
  if (out.dtype() != DType::kF32 && !(half && half_out && wanted != Wanted::kWeightGradient)) {
    fail(ErrorCode::kInternal, "product: the result's dtype is ", name_of(out.dtype()));
  }
  product.left = left.raw();
  product.right = right.raw();
  product.out = out.raw();
  const std::int64_t room = hopper_workspace_bytes(product.groups);
  if (half && (half_out || wanted == Wanted::kWeightGradient) && hopper_takes(product, stream)) {
    if (workspace.elements() < room) {
      fail(ErrorCode::kInternal, "product: workspace is ", workspace.elements(), " bytes, must be at least ", room);
    }
    return product_hopper(wanted, product, workspace.raw(), stream);
  }
  if (half) return product_bf16(wanted, product, half_out, stream);
  product_f32(wanted, product, stream);
}

/// The extents of y [rows, n] = x [rows, k] w [groups, n, k]^T, checked.
GroupedProduct extents_of(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor* offsets, float beta) {
  expect_rank("product: w", w, offsets != nullptr ? 3 : 2);
  const std::int64_t groups = offsets != nullptr ? w.extent(0) : 1;
  const std::int64_t n = w.extent(w.shape().rank() - 2), k = w.extent(w.shape().rank() - 1);
  expect_rank("product: x", x, 2);
  expect_shape("product: x", x, {x.extent(0), k});
  expect_shape("product: y", y, {x.extent(0), n});
  if (offsets != nullptr) expect_shape("product: offsets", *offsets, {groups + 1});
  const auto* ends = offsets != nullptr ? offsets->data<std::int32_t>() : nullptr;
  return {nullptr, nullptr, nullptr, ends, x.extent(0), groups, n, k, beta};
}

}  // namespace

void linear(const Tensor& x, const Tensor& w, const Tensor& y, const Stream& stream) {
  run(Wanted::kOutput, extents_of(x, w, y, nullptr, 0), x, w, y, {}, stream);
}

void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, const Stream& stream) {
  run(Wanted::kInputGradient, extents_of(dx, w, dy, nullptr, beta), dy, w, dx, {}, stream);
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, const Stream& stream) {
  run(Wanted::kWeightGradient, extents_of(x, dw, dy, nullptr, 1), dy, x, dw, {}, stream);
}

std::int64_t grouped_workspace_bytes(std::int64_t groups) { return hopper_workspace_bytes(groups); }

void grouped_linear(const Tensor& x, const Tensor& w, const Tensor& offsets, const Tensor& y, const Tensor& workspace,
                    const Stream& stream) {
  run(Wanted::kOutput, extents_of(x, w, y, &offsets, 0), x, w, y, workspace, stream);
}

void grouped_linear_input_gradient(const Tensor& dy, const Tensor& w, const Tensor& offsets, const Tensor& dx,
                                   const Tensor& workspace, const Stream& stream) {
  run(Wanted::kInputGradient, extents_of(dx, w, dy, &offsets, 0), dy, w, dx, workspace, stream);
}

void grouped_linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& offsets, const Tensor& dw,
                                    const Tensor& workspace, const Stream& stream) {
  run(Wanted::kWeightGradient, extents_of(x, dw, dy, &offsets, 1), dy, x, dw, workspace, stream);
}

}  // namespace coe::cuda
