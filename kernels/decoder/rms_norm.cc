#include "kernels/decoder/rms_norm.h"

#include <cmath>

#include "kernels/products/ordered_sum.h"

namespace coe {

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms) {
  expect_rank("rms_norm: x", x, 2);
  const std::int64_t rows = x.extent(0), width = x.extent(1);
  expect_shape("rms_norm: weight", weight, {width});
  expect_shape("rms_norm: y", y, x.shape());
  expect_shape("rms_norm: inverse_rms", inverse_rms, {rows});
  const float *in = x.data<float>(), *scale = weight.data<float>();
  auto *out = y.data<float>(), *inverses = inverse_rms.data<float>();
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* x_row = in + row * width;
    float* y_row = out + row * width;
    const float inverse = 1.0F / std::sqrt(ordered_dot(x_row, x_row, width) / static_cast<float>(width) + eps);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < width; ++i) y_row[i] = x_row[i] * inverse * scale[i];
    inverses[row] = inverse;
  }
}

void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight) {
  expect_rank("rms_norm_backward: x", x, 2);
  const std::int64_t rows = x.extent(0), width = x.extent(1);
  expect_shape("rms_norm_backward: weight", weight, {width});
  expect_shape("rms_norm_backward: inverse_rms", inverse_rms, {rows});
  expect_shape("rms_norm_backward: dy", dy, x.shape());
  expect_shape("rms_norm_backward: dx", dx, x.shape());
  expect_shape("rms_norm_backward: dweight", dweight, {width});
  const float *in = x.data<float>(), *scale = weight.data<float>(), *inverses = inverse_rms.data<float>();
  const float* upstream = dy.data<float>();
  auto *out = dx.data<float>(), *dscale = dweight.data<float>();
  for (std::int64_t row = 0; row < rows; ++row) {
    const float *x_row = in + row * width, *dy_row = upstream + row * width, inverse = inverses[row];
    float* dx_row = out + row * width;
    const float dot = ordered_sum(width, [=](std::int64_t i) { return dy_row[i] * scale[i] * x_row[i]; });
    const float mean = dot * inverse / static_cast<float>(width);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < width; ++i) {
      const float normal = x_row[i] * inverse;
      dx_row[i] += inverse * (dy_row[i] * scale[i] - normal * mean);
      dscale[i] += dy_row[i] * normal;
    }
  }
}

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, const Tensor& inverse_rms,
              const Stream& stream) {
  if (x.on_host()) return rms_norm(x, weight, eps, y, inverse_rms);
  cuda::rms_norm(x, weight, eps, y, inverse_rms, stream);
}

void rms_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& inverse_rms, const Tensor& dy,
                       const Tensor& dx, const Tensor& dweight, Arena& arena, const Stream& stream) {
  if (x.on_host()) return rms_norm_backward(x, weight, inverse_rms, dy, dx, dweight);
  ArenaScope scratch(arena);
  const Tensor partial = arena.make<float>({cuda::kNormParts, x.extent(1)});
  cuda::rms_norm_backward(x, weight, inverse_rms, dy, dx, dweight, partial, stream);
}

}  // namespace coe
