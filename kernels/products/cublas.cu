#include "kernels/products/cublas.h"

#include <cublas_v2.h>

#include "kernels/memory/launch.cuh"

namespace coe::cuda {
namespace {

void expect_done(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(ErrorCode::kSystem, "cuda: cuBLAS: ", cublasGetStatusString(status));
}

cudaDataType_t number_of(const Tensor& x) {
  if (x.dtype() == DType::kF32) return CUDA_R_32F;
  if (x.dtype() == DType::kBF16) return CUDA_R_16BF;
  fail(ErrorCode::kInternal, "cublas: dtype is ", name_of(x.dtype()), ", must be F32 or BF16");
}

}  // namespace

bool Cublas::linked() { return true; }

Cublas::Cublas(Device device) {
  expect_success("cuBLAS", cudaSetDevice(device.index));
  cublasHandle_t handle = nullptr;
  expect_done(cublasCreate(&handle));
  handle_ = handle;
}

Cublas::~Cublas() { cublasDestroy(static_cast<cublasHandle_t>(handle_)); }

void Cublas::linear(const Tensor& x, const Tensor& w, const Tensor& y, const Stream& stream) const {
  expect_rank("cublas: x", x, 2);
  expect_rank("cublas: w", w, 2);
  expect_shape("cublas: w", w, {w.extent(0), x.extent(1)});
  expect_shape("cublas: y", y, {x.extent(0), w.extent(0)});
  expect_same_dtype("cublas", x, w);
  expect_same_dtype("cublas", x, y);
  const cudaDataType_t number = number_of(x);
  const auto handle = static_cast<cublasHandle_t>(handle_);
  const auto rows = static_cast<int>(x.extent(0)), columns = static_cast<int>(w.extent(0));
  const auto inner = static_cast<int>(x.extent(1));
  const float one = 1, zero = 0;
  expect_done(cublasSetStream(handle, use("cublas", stream)));
  // Column-major there: y^T = w x^T.
  expect_done(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, columns, rows, inner, &one, w.raw(), number, inner,
                           x.raw(), number, inner, &zero, y.raw(), number, columns, CUBLAS_COMPUTE_32F,
                           CUBLAS_GEMM_DEFAULT));
}

}  // namespace coe::cuda
