#include "kernels/decoder/rms_norm.h"

#include <array>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class RmsNormCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

TEST_P(RmsNormCuda, IsTheCpus) {
  // Rows that fall into packs and not, of one to four packs a thread and longer, fewer and more than the parts.
  for (const auto& [rows, width] : {std::array<std::int64_t, 2>{9, 37},
                                    {0, 8},
                                    {1, 1},
                                    {300, 64},
                                    {5, 2048},
                                    {4, 3072},
                                    {3, 5000},
                                    {2, 8192},
                                    {2, 8200},
                                    {1100, 8},
                                    {1030, 3}}) {
    const Floats x = rounded(normal_tensor({rows, width}, 6), dtype()),
                 dy = rounded(normal_tensor({rows, width}, 7), dtype());
    const Floats weight = normal_tensor({width}, 8), before = rounded(normal_tensor({rows, width}, 9), dtype());
    Floats y({rows, width}), inverse({rows}), dx({rows, width}, before.values()), dweight({width}, weight.values());
    rms_norm(x, weight, 1e-6F, y, inverse);
    rms_norm_backward(x, weight, inverse, dy, dx, dweight);
    const Tensor x_there = put(x, dtype()), dy_there = put(dy, dtype()), weight_there = put(weight);
    const Tensor y_there = room(dtype(), {rows, width}), inverse_there = room(DType::kF32, {rows});
    rms_norm(x_there, weight_there, 1e-6F, y_there, inverse_there, stream_);
    EXPECT_LE(error_of(get<float>(y_there), y), tolerance(dtype())) << rows << " x " << width;
    EXPECT_LE(error_of(get<float>(inverse_there), inverse), 1e-5);
    std::vector<float> first;
    for (int time = 0; time < (width > 3000 ? 1 : 2); ++time) {  // wide rows take long where threads are emulated
      const Tensor dx_there = put(before, dtype()), dweight_there = put(weight);
      Arena arena(0, kCuda);
      rms_norm_backward(x_there, weight_there, inverse_there, dy_there, dx_there, dweight_there, arena, stream_);
      EXPECT_LE(error_of(get<float>(dx_there), dx), tolerance(dtype())) << rows << " x " << width;
      const Floats got = get<float>(dweight_there);
      EXPECT_LE(error_of(got, dweight), 1e-5) << rows << " x " << width;
      if (time == 0) first = got.values();
      EXPECT_EQ(got.values(), first);
    }
  }
}

TEST_P(RmsNormCuda, BitsOfARowDependOnTheRowAlone) {
  const Floats x = normal_tensor({7, 200}, 1), weight = normal_tensor({200}, 2);
  const Tensor all = put(x, dtype()), scale = put(weight);
  const Tensor y = room(dtype(), {7, 200}), one = room(dtype(), {1, 200}), inverse = room(DType::kF32, {7});
  rms_norm(all, scale, 1e-6F, y, inverse, stream_);
  for (std::int64_t row = 0; row < 7; ++row) {
    rms_norm(all.rows(row, 1), scale, 1e-6F, one, inverse.rows(0, 1), stream_);
    EXPECT_EQ(get<float>(one).values(), get<float>(y.rows(row, 1)).values());
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RmsNormCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
