#include "kernels/routing/router_product.h"

#include "kernels/memory/packs.cuh"

namespace coe::cuda {
namespace {

using Bfloat = __nv_bfloat16;
constexpr int kThreads = 256, kPack = 8, kFloats = 4;

/// Numbers `first` and following of a row of `columns`, 0 behind it. kWhole: rows are multiples of packs.
template <bool kWhole>
__device__ void read_pack(const float* row, std::int64_t first, std::int64_t columns, float (&to)[kPack]) {
  if (kWhole && first < columns) return read_floats(row + first, to);
#pragma unroll
  for (int lane = 0; lane < kPack; ++lane) to[lane] = first + lane < columns ? row[first + lane] : 0.0F;
}

template <bool kWhole>
__global__ void split_kernel(const float* x, std::int64_t rows, std::int64_t columns, std::int64_t parts,
                             std::int64_t low, std::int64_t width, Bfloat* out) {
  const std::int64_t packs = width / kPack, stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * packs;
       i += stride) {
    const std::int64_t row = i / packs, first = (i - row * packs) * kPack;
    float numbers[kPack], rest[kPack];
    read_pack<kWhole>(x + row * columns, first, columns, numbers);
#pragma unroll
    for (int lane = 0; lane < kPack; ++lane) rest[lane] = numbers[lane] - to_number(__float2bfloat16(numbers[lane]));
    Bfloat* to = out + row * parts * width + first;
    for (std::int64_t part = 0; part < parts; ++part) {
      if (part == low) {
        write_floats(to + part * width, rest);
      } else {
        write_floats(to + part * width, numbers);
      }
    }
  }
}

/// kWidth neighbours of out at once, which may go on in the next row.
template <int kWidth>
__global__ void add_kernel(const float* sums, std::int64_t columns, std::int64_t width, float beta, std::int64_t n,
                           float* out) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x * kWidth;
  for (std::int64_t i = (static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth; i < n;
       i += stride) {
    std::int64_t row = i / columns, column = i - row * columns;
    float total[kWidth] = {};
    if (beta != 0) read_floats(out + i, total);
#pragma unroll
    for (int lane = 0; lane < kWidth; ++lane) {
      const float* at = sums + row * 2 * width + column;
      total[lane] += at[0] + at[width];
      if (++column < columns) continue;
      column = 0;
      ++row;
    }
    write_floats(out + i, total);
  }
}

}  // namespace

void split_halves(const Tensor& x, std::int64_t low, const Tensor& out, const Stream& stream) {
  expect_rank("split_halves", x, 2);
  expect_rank("split_halves: out", out, 3);
  const std::int64_t rows = x.extent(0), columns = x.extent(1), parts = out.extent(1), width = out.extent(2);
  expect_shape("split_halves: out", out, {rows, parts, width});
  if (width < columns || !packs<Bfloat>(width, {out.raw()})) {
    fail(ErrorCode::kInternal, "split_halves: width is ", width, ", must be a multiple of 8 from ", columns, " on");
  }
  const auto kernel = packs<Bfloat>(columns, {x.raw()}) ? split_kernel<true> : split_kernel<false>;
  launch("split_halves", kernel, {blocks_for(rows * (width / kPack), kThreads), kThreads}, stream, x.data<float>(),
         rows, columns, parts, low, width, pointer<Bfloat>(out));
}

void add_halves(const Tensor& sums, float beta, const Tensor& out, const Stream& stream) {
  expect_rank("add_halves: out", out, 2);
  expect_rank("add_halves", sums, 3);
  const std::int64_t columns = out.extent(1), width = sums.extent(2), n = out.elements();
  expect_shape("add_halves", sums, {out.extent(0), 2, width});
  if (width < columns) fail(ErrorCode::kInternal, "add_halves: width is ", width, ", must be at least ", columns);
  const bool wide = packs<float>(n, {out.raw()});
  launch("add_halves", wide ? add_kernel<kFloats> : add_kernel<1>,
         {blocks_for(n, std::int64_t{kThreads} * (wide ? kFloats : 1)), kThreads}, stream, sums.data<float>(), columns,
         width, beta, n, out.data<float>());
}

}  // namespace coe::cuda
