#include "kernels/products/linear.h"

#include <array>

#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

struct Sizes {
  std::int64_t rows, n, k;
};

/// Odd sizes, tiles that are full and a little more, no rows; two and three runs of rows, the last shorter.
constexpr std::array kSizes = {Sizes{67, 24, 48},   Sizes{1, 1, 1},     Sizes{0, 8, 8},
                               Sizes{3, 5, 130},    Sizes{129, 64, 33}, Sizes{200, 9, 20},
                               Sizes{128, 128, 64}, Sizes{513, 72, 40}, Sizes{1100, 16, 24}};

class LinearCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  Floats draw(Shape shape, unsigned seed) const { return rounded(normal_tensor(shape, seed), dtype()); }
  Tensor workspace(const Sizes& sizes) {
    return room(DType::kU8, {cuda::linear_workspace_bytes(sizes.rows, sizes.n, sizes.k)});
  }
};

TEST_P(LinearCuda, OutputIsTheCpusInEitherType) {
  for (const auto& [rows, n, k] : kSizes) {
    const Floats x = draw({rows, k}, 1), w = draw({n, k}, 2), wanted({rows, n});
    linear(x, w, wanted);
    for (const DType out : {dtype(), DType::kF32}) {
      const Tensor y = room(out, {rows, n});
      cuda::linear(put(x, dtype()), put(w, dtype()), y, workspace({rows, n, k}), stream_);
      EXPECT_LE(error_of(get<float>(y), wanted), tolerance(out)) << rows << " x " << n << " x " << k;
    }
  }
}

TEST_P(LinearCuda, InputGradientIsTheCpusAndAddedWhereAsked) {
  for (const auto& [rows, n, k] : kSizes) {
    const Floats dy = draw({rows, n}, 3), w = draw({n, k}, 4), before = draw({rows, k}, 5);
    for (const float beta : {0.0F, 1.0F}) {
      const Floats wanted({rows, k}, before.values());
      linear_input_gradient(dy, w, beta, wanted);
      const Tensor dx = beta == 0 ? room(dtype(), {rows, k}) : put(before, dtype());
      cuda::linear_input_gradient(put(dy, dtype()), put(w, dtype()), beta, dx, workspace({rows, n, k}), stream_);
      EXPECT_LE(error_of(get<float>(dx), wanted), tolerance(dtype())) << rows << " x " << n << " x " << k;
    }
  }
}

TEST_P(LinearCuda, WeightGradientIsAdded) {
  for (const auto& [rows, n, k] : kSizes) {
    const Floats dy = draw({rows, n}, 6), x = draw({rows, k}, 7), wanted = normal_tensor({n, k}, 8);
    const Tensor dw = put(wanted);
    linear_weight_gradient(dy, x, wanted);
    cuda::linear_weight_gradient(put(dy, dtype()), put(x, dtype()), dw, workspace({rows, n, k}), stream_);
    EXPECT_LE(error_of(get<float>(dw), wanted), tolerance(dtype())) << rows << " x " << n << " x " << k;
  }
}

TEST_P(LinearCuda, BitsOfARowDoNotDependOnItsNeighbours) {
  const Floats x = draw({300, 40}, 9), w = draw({24, 40}, 10);
  const Tensor there = put(x, dtype()), weight = put(w, dtype());
  const Tensor all = room(DType::kF32, {300, 24}), some = room(DType::kF32, {7, 24});
  cuda::linear(there, weight, all, workspace({300, 24, 40}), stream_);
  cuda::linear(there.rows(201, 7), weight, some, workspace({7, 24, 40}), stream_);
  EXPECT_EQ(get<float>(all.rows(201, 7)).values(), get<float>(some).values());
}

TEST_P(LinearCuda, RefusesAWorkspaceThatIsTooSmall) {
  const Tensor dy = room(dtype(), {1100, 16}), x = room(dtype(), {1100, 24}), dw = room(DType::kF32, {16, 24});
  const Tensor small = room(DType::kU8, {64});
  EXPECT_EQ(thrown_code([&] { cuda::linear_weight_gradient(dy, x, dw, small, stream_); }), ErrorCode::kInternal);
}

INSTANTIATE_TEST_SUITE_P(Both, LinearCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
