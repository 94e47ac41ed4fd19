#include "kernels/decoder/rope.h"

#include <cmath>

#include "kernels/memory/error.h"

namespace coe {

void rope_table(float theta, const Tensor& cosine, const Tensor& sine) {
  expect_rank("rope_table: cosine", cosine, 2);
  expect_shape("rope_table: sine", sine, cosine.shape());
  const std::int64_t half = cosine.extent(1);
  auto *cosines = cosine.data<float>(), *sines = sine.data<float>();
  for (std::int64_t i = 0; i < half; ++i) {
    const double frequency = std::pow(static_cast<double>(theta), -static_cast<double>(i) / static_cast<double>(half));
    for (std::int64_t position = 0; position < cosine.extent(0); ++position) {
      const double angle = static_cast<double>(position) * frequency;
      cosines[position * half + i] = static_cast<float>(std::cos(angle));
      sines[position * half + i] = static_cast<float>(std::sin(angle));
    }
  }
}

void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, bool inverse) {
  expect_rank("rope: x", x, 2);
  expect_rank("rope: cosine", cosine, 2);
  expect_shape("rope: sine", sine, cosine.shape());
  const std::int64_t length = x.extent(0), half = cosine.extent(1);
  if (cosine.extent(0) < length || heads < 1 || x.extent(1) != heads * half * 2) {
    fail(ErrorCode::kInternal, "rope: x is ", x.shape().text(), " of ", heads, " heads, the tables are ",
         cosine.shape().text());
  }
  auto* head = x.data<float>();
  const float *cosines = cosine.data<float>(), *sines = sine.data<float>(), sign = inverse ? -1.0F : 1.0F;
  for (std::int64_t row = 0; row < length * heads; ++row, head += 2 * half) {
    const float *c = cosines + row / heads * half, *s = sines + row / heads * half;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = head[i], second = head[half + i], turn = sign * s[i];
      head[i] = first * c[i] - second * turn;
      head[half + i] = second * c[i] + first * turn;
    }
  }
}

}  // namespace coe
