#include "kernels/gemm.h"

#include <cblas.h>

#include <array>
#include <chrono>
#include <mutex>

#include "kernels/error.h"
#include "kernels/multiply.h"

namespace coe {
namespace {

Matrix matrix_of(const Tensor& x) {
  expect_rank("gemm: operand", x, 2);
  return {x.data<float>(), x.extent(0), x.extent(1), x.extent(1)};
}

Shape shape_of(const Matrix& x, Transpose transpose) {
  return transpose == Transpose::kYes ? Shape{x.columns, x.rows} : Shape{x.rows, x.columns};
}

void openblas_product(const Matrix& a, const Matrix& b, const Matrix& out) {
  const auto size = [](std::int64_t extent) { return static_cast<blasint>(extent); };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, size(out.rows), size(out.columns), size(a.columns), 1.0F, a.data,
              size(a.stride), b.data, size(b.stride), 0.0F, out.data, size(out.stride));
}

/// Calls and returns the seconds it took.
template <class Work>
double seconds_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

void gemm(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b, float beta,
          const Tensor& out) {
  const Matrix left = matrix_of(a), right = matrix_of(b), product = matrix_of(out);
  const Shape left_shape = shape_of(left, transpose_a), right_shape = shape_of(right, transpose_b);
  if (left_shape[1] != right_shape[0] || left_shape[0] != product.rows || right_shape[1] != product.columns) {
    fail(ErrorCode::kInternal, "gemm: ", left_shape.text(), " times ", right_shape.text(), " is not ",
         out.shape().text());
  }
  if (beta != 0.0F && beta != 1.0F) fail(ErrorCode::kInternal, "gemm: beta is ", beta, ", must be 0 or 1");
  multiply(left, transpose_a, right, transpose_b, beta, product);
}

void linear(const Tensor& x, const Tensor& w, const Tensor& y) { gemm(x, Transpose::kNo, w, Transpose::kYes, 0.0F, y); }

void linear_input_gradient(const Tensor& dy, const Tensor& w, float beta, const Tensor& dx) {
  gemm(dy, Transpose::kNo, w, Transpose::kNo, beta, dx);
}

void linear_weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw) {
  gemm(dy, Transpose::kYes, x, Transpose::kNo, 1.0F, dw);
}

std::span<const std::string_view> gemm_libraries() {
  static constexpr std::array<std::string_view, 2> kLibraries = {"onednn", "openblas"};
  return kLibraries;
}

double time_gemm(std::string_view library, const Tensor& x, const Tensor& w, const Tensor& y) {
  if (library == "onednn") return seconds_of([&] { linear(x, w, y); });
  check(library == "openblas", "time_gemm: library is ", library, ", must be onednn or openblas");
  const Matrix a = matrix_of(x), b = matrix_of(w), out = matrix_of(y);
  expect_shape("time_gemm: w", w, {out.columns, a.columns});
  expect_shape("time_gemm: y", y, {a.rows, b.rows});
  static std::mutex openblas_is_not_thread_safe;
  const std::scoped_lock lock(openblas_is_not_thread_safe);
  return seconds_of([&] { openblas_product(a, b, out); });
}

}  // namespace coe
