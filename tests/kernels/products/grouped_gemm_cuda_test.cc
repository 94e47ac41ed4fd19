#include "kernels/products/grouped_gemm.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

struct Sizes {
  std::vector<std::int32_t> offsets;
  std::int64_t rows, n, k;
};

/// Odd sizes, groups without rows, one group with nearly all, and rows behind the last group.
std::vector<Sizes> sizes() {
  return {{{0, 3, 3, 20, 21}, 24, 7, 13},
          {{0, 0, 0, 0}, 5, 8, 8},
          {{0, 130, 131, 131, 140}, 150, 72, 40},
          {{0, 1, 70}, 70, 136, 64},
          {{0, 65}, 65, 1, 33}};
}

Ints offsets_of(const Sizes& s) { return Ints({static_cast<std::int64_t>(s.offsets.size())}, s.offsets); }

class GroupedGemmCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  Tensor workspace(std::int64_t groups) { return room(DType::kU8, {cuda::grouped_workspace_bytes(groups)}); }
};

TEST_P(GroupedGemmCuda, OutputIsTheCpus) {
  for (const Sizes& s : sizes()) {
    const Ints offsets = offsets_of(s);
    const std::int64_t groups = offsets.tensor().elements() - 1;
    const Floats x = rounded(normal_tensor({s.rows, s.k}, 1), GetParam());
    const Floats w = rounded(normal_tensor({groups, s.n, s.k}, 2), GetParam());
    Floats wanted({s.rows, s.n});
    grouped_linear(x, w, offsets, wanted);
    const Tensor y = room(GetParam(), {s.rows, s.n});
    cuda::grouped_linear(put(x, GetParam()), put(w, GetParam()), put(offsets), y, workspace(groups), stream_);
    const Floats got = get<float>(y);
    EXPECT_LE(error_of(got, wanted, s.offsets.back() * s.n), tolerance(GetParam()));
    for (std::int64_t i = s.offsets.back() * s.n; i < s.rows * s.n; ++i) EXPECT_TRUE(std::isnan(got[i]));
  }
}

TEST_P(GroupedGemmCuda, InputGradientIsTheCpus) {
  for (const Sizes& s : sizes()) {
    const Ints offsets = offsets_of(s);
    const std::int64_t groups = offsets.tensor().elements() - 1;
    const Floats dy = rounded(normal_tensor({s.rows, s.n}, 3), GetParam());
    const Floats w = rounded(normal_tensor({groups, s.n, s.k}, 4), GetParam());
    Floats wanted({s.rows, s.k});
    grouped_linear_input_gradient(dy, w, offsets, wanted);
    const Tensor dx = room(GetParam(), {s.rows, s.k});
    cuda::grouped_linear_input_gradient(put(dy, GetParam()), put(w, GetParam()), put(offsets), dx, workspace(groups),
                                        stream_);
    EXPECT_LE(error_of(get<float>(dx), wanted, s.offsets.back() * s.k), tolerance(GetParam()));
  }
}

TEST_P(GroupedGemmCuda, WeightGradientIsAdded) {
  for (const Sizes& s : sizes()) {
    const Ints offsets = offsets_of(s);
    const std::int64_t groups = offsets.tensor().elements() - 1;
    const Floats dy = rounded(normal_tensor({s.rows, s.n}, 5), GetParam());
    const Floats x = rounded(normal_tensor({s.rows, s.k}, 6), GetParam());
    const Floats before = normal_tensor({groups, s.n, s.k}, 7);
    Floats wanted({groups, s.n, s.k}, before.values());
    const Tensor dw = put(before);
    grouped_linear_weight_gradient(dy, x, offsets, wanted);
    cuda::grouped_linear_weight_gradient(put(dy, GetParam()), put(x, GetParam()), put(offsets), dw, workspace(groups),
                                         stream_);
    EXPECT_LE(error_of(get<float>(dw), wanted), tolerance(GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, GroupedGemmCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
