#include "kernels/routing/rows.h"

#include <array>

#include "kernels/products/swiglu.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class RowsCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

TEST_P(RowsCuda, RowsGoAndComeBackInOrder) {
  for (const std::int64_t width : {5, 16}) {
    // Token 0 has choices at rows 1 and 0 of two blocks, token 1 none, token 2 one dropped and one at row 2.
    const Floats x = rounded(normal_tensor({3, width}, 1), dtype()),
                 shared = rounded(normal_tensor({3, width}, 2), dtype());
    const Tensor first = room(dtype(), {3, width}), second = room(dtype(), {3, width});
    const Tensor floats = room(DType::kF32, {2, 3});
    const auto address = [](const Tensor& t) {
      return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(t.raw()));
    };
    const cuda::RowBlocks blocks{
        put(Owned<std::int64_t>({2}, {address(first), address(second)})),
        put(Owned<std::int64_t>({2}, {address(floats.rows(0, 1)), address(floats.rows(1, 1))}))};
    const cuda::RowPlaces places{put(Ints({4}, {0, 2, 2, 4})), put(Ints({4}, {0, 1, -1, 1})),
                                 put(Ints({4}, {1, 0, -1, 2}))};
    const Floats w({4}, {2, 3, 5, 7});
    cuda::scatter_rows(put(x, dtype()), put(w), places, blocks, stream_);
    const Tensor out = room(dtype(), {3, width}), back = room(DType::kF32, {4});
    cuda::combine_rows(blocks, places, put(w), put(shared, dtype()), {}, {}, out, stream_);
    cuda::collect_scalars(blocks, places, back, stream_);
    Floats wanted({3, width});
    for (std::int64_t i = 0; i < width; ++i) {
      wanted[i] = 5 * x[i] + shared[i];
      wanted[width + i] = shared[width + i];
      wanted[2 * width + i] = 7 * x[2 * width + i] + shared[2 * width + i];
    }
    EXPECT_LE(error_of(get<float>(out), wanted), tolerance(dtype()));
    EXPECT_EQ(get<float>(back).values(), (std::vector<float>{2, 3, 0, 7}));
  }
}

TEST_P(RowsCuda, GatheringAndAddingAreTheCpus) {
  for (const auto& [rows, taken, width] :
       {std::array<std::int64_t, 3>{5, 9, 7}, {300, 1, 64}, {4, 0, 8}, {1, 500, 1}, {40, 129, 130}}) {
    const Floats x = rounded(normal_tensor({rows, width}, 10), dtype());
    const Floats before = rounded(normal_tensor({taken, width}, 11), dtype());
    const Ints index({taken});
    for (std::int64_t i = 0; i < taken; ++i) index[i] = static_cast<std::int32_t>(i % 3 == 0 ? i % rows : 0);
    const Floats gathered({taken, width});
    gather_rows(x, index, gathered);
    const Tensor there = room(dtype(), {taken, width});
    cuda::gather_rows(put(x, dtype()), put(index), there, stream_);
    EXPECT_EQ(get<float>(there).values(), gathered.values());
    for (const float beta : {1.0F, -0.5F}) {
      const Floats sum({taken, width}, before.values());
      add(gathered, beta, sum);
      const Tensor sum_there = put(before, dtype());
      cuda::add(there, beta, sum_there, stream_);
      EXPECT_LE(error_of(get<float>(sum_there), sum), tolerance(dtype()));
    }
  }
}

TEST_P(RowsCuda, RunsOfRowsBecomeZeros) {
  const Floats x = rounded(normal_tensor({100, 7}, 12), dtype()), scalar = normal_tensor({100}, 13);
  const Tensor there = put(x, dtype()), scalar_there = put(scalar);
  cuda::clear_runs_of_rows(there, scalar_there, put(Ints({3}, {2, 50, 60})), put(Ints({3}, {2, 51, 100})), stream_);
  for (std::int64_t row = 0; row < 100; ++row) {
    if (row != 50 && row < 60) continue;
    std::fill_n(x.begin() + row * 7, 7, 0.0F);
    scalar[row] = 0;
  }
  EXPECT_EQ(get<float>(there).values(), x.values());
  EXPECT_EQ(get<float>(scalar_there).values(), scalar.values());
}

TEST_P(RowsCuda, SwigluIsTheCpus) {
  for (const auto& [rows, used, width] :
       {std::array<std::int64_t, 3>{6, 4, 7}, {6, 4, 48}, {3, 0, 16}, {700, 699, 1}, {9, 1, 1408}}) {
    const Floats ab = rounded(normal_tensor({rows, 2 * width}, 3), dtype()),
                 q = rounded(normal_tensor({rows, width}, 4), dtype());
    const Floats w = normal_tensor({rows}, 5);
    Floats m({rows, width}), dab({rows, 2 * width}), weighted({rows, width}), dw({rows});
    swiglu(ab, m);
    swiglu_backward(ab, q, w, dab, weighted, dw);
    const Tensor count = put(Ints({1}, {static_cast<std::int32_t>(used)}));
    const Tensor m_there = room(dtype(), {rows, width}), ab_there = put(ab, dtype()), q_there = put(q, dtype());
    const Tensor dw_there = room(DType::kF32, {rows});
    cuda::swiglu(ab_there, m_there, count, stream_);
    cuda::swiglu_backward(ab_there, q_there, put(w), ab_there, q_there, dw_there, count, stream_);
    EXPECT_LE(error_of(get<float>(m_there), m, used * width), tolerance(dtype()));
    const Floats m_got = get<float>(m_there);
    for (std::int64_t i = used * width; i < rows * width; ++i) EXPECT_TRUE(std::isnan(m_got[i]));
    EXPECT_LE(error_of(get<float>(ab_there), dab, used * 2 * width), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(q_there), weighted, used * width), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(dw_there), dw, used), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RowsCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
