#include "kernels/products/grouped_gemm.h"
#include "kernels/products/grouped_product.cuh"
#include "kernels/products/linear.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;
/// A run of rows is a multiple of kRunStep; fewer tiles leave a device idle.
constexpr std::int64_t kFewestTiles = 128, kShortestRun = 512, kRunStep = 64;

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
  return {nullptr, nullptr, nullptr, ends, x.extent(0), x.extent(0), groups, n, k, beta};
}

/// Runs of rows that a weight's gradient [n, k] is summed over beside one another, so that a device is full.
struct Runs {
  std::int64_t count, each;
};
Runs runs_of(std::int64_t rows, std::int64_t n, std::int64_t k) {
  const auto parts = [](std::int64_t whole, std::int64_t part) { return (whole + part - 1) / part; };
  const std::int64_t tiles = parts(n, 128) * parts(k, 256);
  const std::int64_t wanted = std::min(parts(kFewestTiles, tiles), parts(rows, kShortestRun));
  if (wanted <= 1) return {1, rows};
  const std::int64_t each = parts(parts(rows, wanted), kRunStep) * kRunStep;
  return {parts(rows, each), each};
}

/// dw [n] += the sum over the runs, in their order.
__global__ void add_runs_kernel(const float* sums, std::int64_t runs, std::int64_t n, float* dw) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    float sum = 0;
    for (std::int64_t run = 0; run < runs; ++run) sum += sums[run * n + i];
    dw[i] += sum;
  }
}

}  // namespace

std::int64_t linear_workspace_bytes(std::int64_t rows, std::int64_t n, std::int64_t k) {
  const Runs runs = runs_of(rows, n, k);
  const std::int64_t sums = runs.count > 1 ? runs.count * n * k * static_cast<std::int64_t>(sizeof(float)) : 0;
  return sums + hopper_workspace_bytes(runs.count);
}

void linear(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& workspace, const Stream& stream) {
  run(Wanted::kOutput, extents_of(x, w, y, nullptr, 0), x, w, y, workspace, stream);
}

void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx, const Tensor& workspace,
                           const Stream& stream) {
  run(Wanted::kInputGradient, extents_of(dx, w, dy, nullptr, beta), dy, w, dx, workspace, stream);
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw, const Tensor& workspace,
                            const Stream& stream) {
  GroupedProduct product = extents_of(x, dw, dy, nullptr, 1);
  const Runs runs = runs_of(product.rows, product.n, product.k);
  if (runs.count == 1) return run(Wanted::kWeightGradient, product, dy, x, dw, workspace, stream);
  product.groups = runs.count;
  product.each = runs.each;
  product.beta = 0;
  const std::int64_t elements = product.n * product.k,
                     room = linear_workspace_bytes(product.rows, product.n, product.k);
  if (workspace.elements() < room) {
    fail(ErrorCode::kInternal, "product: workspace is ", workspace.elements(), " bytes, must be at least ", room);
  }
  const Tensor sums(workspace.raw(), DType::kF32, {runs.count, product.n, product.k}, workspace.device());
  const std::int64_t used = static_cast<std::int64_t>(sums.bytes());
  run(Wanted::kWeightGradient, product, dy, x, sums, workspace.rows(used, workspace.elements() - used), stream);
  launch("product", add_runs_kernel, {blocks_for(elements, kThreads), kThreads}, stream, sums.data<float>(), runs.count,
         elements, dw.data<float>());
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
