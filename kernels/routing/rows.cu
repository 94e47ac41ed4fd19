#include "kernels/memory/launch.cuh"
#include "kernels/routing/rows.h"

namespace coe::cuda {
namespace {

constexpr int kThreads = 128;

/// RowPlaces and RowBlocks as kernels see them.
struct Places {
  const std::int32_t *offsets, *holder, *row;
  const std::int64_t *blocks, *scalars;
  std::int64_t tokens;

  template <class Number>
  __device__ Number* row_of(std::int64_t choice, std::int64_t width) const {
    return reinterpret_cast<Number*>(blocks[holder[choice]]) + row[choice] * width;
  }
  __device__ float* scalar_of(std::int64_t choice) const {
    return reinterpret_cast<float*>(scalars[holder[choice]]) + row[choice];
  }
};

Places places_of(const RowPlaces& places, const RowBlocks& blocks) {
  expect_shape("rows: places", places.row, places.holder.shape());
  return {places.offsets.data<std::int32_t>(),
          places.holder.data<std::int32_t>(),
          places.row.data<std::int32_t>(),
          pointer_or_null<std::int64_t>(blocks.rows),
          pointer_or_null<std::int64_t>(blocks.scalars),
          places.offsets.elements() - 1};
}

template <class Number>
__global__ void gather_kernel(const Number* x, const std::int32_t* index, std::int64_t rows, std::int64_t width,
                              Number* out) {
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const Number* from = x + index[row] * width;
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) out[row * width + i] = from[i];
  }
}

template <class Number>
__global__ void add_kernel(const Number* x, float beta, Number* y, std::int64_t n) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    set(y[i], to_number(x[i]) + (beta == 0 ? 0.0F : beta * to_number(y[i])));
  }
}

template <class Number, int kWidth>
__global__ void scatter_kernel(const Number* x, const float* scalar, Places places, std::int64_t width) {
  using Numbers = Pack<Number, kWidth>;
  for (std::int64_t token = blockIdx.x; token < places.tokens; token += gridDim.x) {
    const std::int32_t first = places.offsets[token], end = places.offsets[token + 1];
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      const auto numbers = *reinterpret_cast<const Numbers*>(x + token * width + i);
      for (std::int32_t j = first; j < end; ++j) {
        if (places.row[j] < 0) continue;
        *reinterpret_cast<Numbers*>(places.row_of<Number>(j, width) + i) = numbers;
      }
    }
    if (places.scalars == nullptr) continue;
    for (std::int32_t j = first + static_cast<std::int32_t>(threadIdx.x); j < end; j += blockDim.x) {
      if (places.row[j] >= 0) *places.scalar_of(j) = scalar[j];
    }
  }
}

/// What is added to a token's rows.
template <class Number>
struct Addends {
  const float* w;
  const Number *shared, *residual;
  const std::int32_t* lost;
};

template <class Number, int kWidth>
__device__ void add_numbers(const Number* from, float w, float (&sum)[kWidth]) {
  const auto numbers = *reinterpret_cast<const Pack<Number, kWidth>*>(from);
  for (int lane = 0; lane < kWidth; ++lane) sum[lane] += w * to_number(numbers.values[lane]);
}

template <class Number, int kWidth>
__global__ void combine_kernel(Places places, Addends<Number> addends, std::int64_t width, Number* out) {
  const bool lost = addends.lost != nullptr && *addends.lost < places.tokens;
  for (std::int64_t token = blockIdx.x; token < places.tokens; token += gridDim.x) {
    const std::int32_t first = places.offsets[token], end = places.offsets[token + 1];
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kWidth; i < width; i += blockDim.x * kWidth) {
      const std::int64_t at = token * width + i;
      float sum[kWidth] = {};
      for (std::int32_t j = first; j < end; ++j) {
        if (places.row[j] < 0) continue;
        const float w = addends.w == nullptr ? 1.0F : addends.w[j];
        add_numbers<Number, kWidth>(places.row_of<Number>(j, width) + i, w, sum);
      }
      if (addends.shared != nullptr) add_numbers<Number, kWidth>(addends.shared + at, 1.0F, sum);
      if (addends.residual != nullptr) add_numbers<Number, kWidth>(addends.residual + at, 1.0F, sum);
      Pack<Number, kWidth> numbers;
      for (int lane = 0; lane < kWidth; ++lane) set(numbers.values[lane], lost ? NAN : sum[lane]);
      *reinterpret_cast<Pack<Number, kWidth>*>(out + at) = numbers;
    }
  }
}

__global__ void collect_kernel(Places places, float* scalar) {
  const std::int64_t choices = places.offsets[places.tokens];
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; j < choices; j += stride) {
    scalar[j] = places.row[j] < 0 ? 0.0F : *places.scalar_of(j);
  }
}

/// kBlocksPerRun blocks share a run's rows.
constexpr int kBlocksPerRun = 32;
template <class Number>
__global__ void clear_kernel(const std::int32_t* begin, const std::int32_t* end, std::int64_t width, Number* x,
                             float* scalar) {
  const std::int64_t run = blockIdx.x / kBlocksPerRun;
  for (std::int64_t row = begin[run] + blockIdx.x % kBlocksPerRun; row < end[run]; row += kBlocksPerRun) {
    for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) set(x[row * width + i], 0.0F);
    if (threadIdx.x == 0 && scalar != nullptr) scalar[row] = 0;
  }
}

}  // namespace

void gather_rows(const Tensor& x, const Tensor& index, const Tensor& out, const Stream& stream) {
  expect_rank("gather_rows: x", x, 2);
  expect_shape("gather_rows: out", out, {index.elements(), x.extent(1)});
  expect_same_dtype("gather_rows", x, out);
  with_number("gather_rows", x, [&](auto number) {
    using Number = decltype(number);
    launch("gather_rows", gather_kernel<Number>, {blocks_for(out.extent(0), 1), kThreads}, stream, pointer<Number>(x),
           index.data<std::int32_t>(), out.extent(0), out.extent(1), pointer<Number>(out));
  });
}

void add(const Tensor& x, float beta, const Tensor& y, const Stream& stream) {
  expect_shape("add: y", y, x.shape());
  expect_same_dtype("add", x, y);
  with_number("add", x, [&](auto number) {
    using Number = decltype(number);
    launch("add", add_kernel<Number>, {blocks_for(x.elements(), kThreads), kThreads}, stream, pointer<Number>(x), beta,
           pointer<Number>(y), x.elements());
  });
}

void scatter_rows(const Tensor& x, const Tensor& scalar, const RowPlaces& places, const RowBlocks& blocks,
                  const Stream& stream) {
  expect_rank("scatter_rows: x", x, 2);
  expect_shape("scatter_rows: offsets", places.offsets, {x.extent(0) + 1});
  if (blocks.scalars.elements() > 0) expect_shape("scatter_rows: scalar", scalar, places.row.shape());
  with_number("scatter_rows", x, [&](auto number) {
    using Number = decltype(number);
    const auto run = [&](auto kernel) {
      launch("scatter_rows", kernel, {blocks_for(x.extent(0), 1), kThreads}, stream, pointer<Number>(x),
             pointer_or_null<float>(scalar), places_of(places, blocks), x.extent(1));
    };
    if (packs<Number>(x.extent(1), {x.raw()})) return run(scatter_kernel<Number, kWide<Number>>);
    run(scatter_kernel<Number, 1>);
  });
}

void combine_rows(const RowBlocks& blocks, const RowPlaces& places, const Tensor& w, const Tensor& shared,
                  const Tensor& residual, const Tensor& lost, const Tensor& out, const Stream& stream) {
  expect_rank("combine_rows: out", out, 2);
  expect_shape("combine_rows: offsets", places.offsets, {out.extent(0) + 1});
  if (w.elements() > 0) expect_shape("combine_rows: w", w, places.row.shape());
  for (const Tensor* other : {&shared, &residual}) {
    if (other->elements() == 0) continue;
    expect_shape("combine_rows: shared or residual", *other, out.shape());
    expect_same_dtype("combine_rows", *other, out);
  }
  with_number("combine_rows", out, [&](auto number) {
    using Number = decltype(number);
    const Addends<Number> addends{pointer_or_null<float>(w), shared.elements() > 0 ? pointer<Number>(shared) : nullptr,
                                  residual.elements() > 0 ? pointer<Number>(residual) : nullptr,
                                  pointer_or_null<std::int32_t>(lost)};
    const auto run = [&](auto kernel) {
      launch("combine_rows", kernel, {blocks_for(out.extent(0), 1), kThreads}, stream, places_of(places, blocks),
             addends, out.extent(1), pointer<Number>(out));
    };
    if (packs<Number>(out.extent(1), {out.raw(), addends.shared, addends.residual})) {
      return run(combine_kernel<Number, kWide<Number>>);
    }
    run(combine_kernel<Number, 1>);
  });
}

void clear_runs_of_rows(const Tensor& x, const Tensor& scalar, const Tensor& begin, const Tensor& end,
                        const Stream& stream) {
  expect_rank("clear_runs_of_rows: x", x, 2);
  expect_shape("clear_runs_of_rows: end", end, begin.shape());
  if (scalar.elements() > 0) expect_shape("clear_runs_of_rows: scalar", scalar, {x.extent(0)});
  with_number("clear_runs_of_rows", x, [&](auto number) {
    using Number = decltype(number);
    launch("clear_runs_of_rows", clear_kernel<Number>, {begin.elements() * kBlocksPerRun, kThreads}, stream,
           begin.data<std::int32_t>(), end.data<std::int32_t>(), x.extent(1), pointer<Number>(x),
           pointer_or_null<float>(scalar));
  });
}

void collect_scalars(const RowBlocks& blocks, const RowPlaces& places, const Tensor& scalar, const Stream& stream) {
  expect_shape("collect_scalars: scalar", scalar, places.row.shape());
  launch("collect_scalars", collect_kernel, {blocks_for(scalar.elements(), kThreads), kThreads}, stream,
         places_of(places, blocks), scalar.data<float>());
}

}  // namespace coe::cuda
