#include "kernels/decoder/rope.h"
#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

constexpr int kThreads = 256;

/// A thread turns a pack of a head's first half and the one of the second half that belongs to it.
template <class Number, int kWidth>
__global__ void rope_kernel(Number* x, std::int64_t rows, int heads, const float* cosine, const float* sine,
                            std::int64_t half, const std::int32_t* positions, float sign) {
  const std::int64_t packs_of_head = half / kWidth, items = rows * heads * packs_of_head;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items;
       item += stride) {
    const std::int64_t head = item / packs_of_head, i = item % packs_of_head * kWidth;
    const std::int64_t angle = positions[head / heads] * half + i;
    Number* at = x + head * 2 * half + i;
    float first[kWidth], second[kWidth], c[kWidth], s[kWidth], turned[kWidth];
    read_floats(at, first);
    read_floats(at + half, second);
    read_floats(cosine + angle, c);
    read_floats(sine + angle, s);
    for (int lane = 0; lane < kWidth; ++lane) {
      s[lane] *= sign;
      turned[lane] = first[lane] * c[lane] - second[lane] * s[lane];
      second[lane] = second[lane] * c[lane] + first[lane] * s[lane];
    }
    write_floats(at, turned);
    write_floats(at + half, second);
  }
}

}  // namespace

void rope(const Tensor& x, int heads, const Tensor& cosine, const Tensor& sine, const Tensor& positions, bool inverse,
          const Stream& stream) {
  const std::int64_t rows = x.extent(0), half = cosine.extent(1);
  const auto *c = cosine.data<float>(), *s = sine.data<float>();
  with_number("rope", x, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel, int pack) {
      launch("rope", kernel, {blocks_for(rows * heads * half / pack, kThreads), kThreads}, stream, pointer<Number>(x),
             rows, heads, c, s, half, positions.data<std::int32_t>(), inverse ? -1.0F : 1.0F);
    };
    if (packs<Number>(half, {x.raw(), c, s})) return run(rope_kernel<Number, kWide<Number>>, kWide<Number>);
    run(rope_kernel<Number, 1>, 1);
  });
}

}  // namespace coe::cuda
