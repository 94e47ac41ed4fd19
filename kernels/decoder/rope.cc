#include "kernels/decoder/rope.h"

#include <cmath>

#include "kernels/memory/error.h"

namespace coe {
namespace {

void expect_fits(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine) {
  expect_rank("rope: x", x, 2);
  expect_rank("rope: cosine", cosine, 2);
  expect_shape("rope: sine", sine, cosine.shape());
  if (heads < 1 || x.extent(1) != heads * cosine.extent(1) * 2) {
    fail(ErrorCode::kInternal, "rope: x is ", x.shape().text(), " of ", heads, " heads, the tables are ",
         cosine.shape().text());
  }
}

/// Turns the heads of one row by the angles of its position.
void turn_row(float* row, int heads, std::int64_t half, const float* c, const float* s, float sign) {
  for (float* head = row; head != row + heads * 2 * half; head += 2 * half) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < half; ++i) {
      const float first = head[i], second = head[half + i], turn = sign * s[i];
      head[i] = first * c[i] - second * turn;
      head[half + i] = second * c[i] + first * turn;
    }
  }
}

}  // namespace

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
  expect_fits(x, heads, cosine, sine);
  const std::int64_t length = x.extent(0), half = cosine.extent(1);
  if (cosine.extent(0) < length) {
    fail(ErrorCode::kInternal, "rope: x is ", x.shape().text(), ", the tables are ", cosine.shape().text());
  }
  const float *c = cosine.data<float>(), *s = sine.data<float>(), sign = inverse ? -1.0F : 1.0F;
  auto* row = x.data<float>();
  for (std::int64_t position = 0; position < length; ++position, row += x.extent(1)) {
    turn_row(row, heads, half, c + position * half, s + position * half, sign);
  }
}

void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, const Tensor& positions, bool inverse,
          const Stream& stream) {
  expect_fits(x, heads, cosine, sine);
  expect_shape("rope: positions", positions, {x.extent(0)});
  if (!x.on_host()) return cuda::rope(x, heads, cosine, sine, positions, inverse, stream);
  for (const std::int32_t position : positions.span<std::int32_t>()) {
    check(position >= 0 && position < cosine.extent(0), "rope: position is ", position, ", must be in [0, ",
          cosine.extent(0), ")");
  }
  const std::int64_t half = cosine.extent(1);
  const float *c = cosine.data<float>(), *s = sine.data<float>(), sign = inverse ? -1.0F : 1.0F;
  auto* row = x.data<float>();
  for (const std::int32_t position : positions.span<std::int32_t>()) {
    turn_row(row, heads, half, c + position * half, s + position * half, sign);
    row += x.extent(1);
  }
}

}  // namespace coe
