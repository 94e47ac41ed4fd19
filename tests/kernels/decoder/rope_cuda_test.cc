#include "kernels/decoder/rope.h"

#include <array>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

class RopeCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
};

TEST_P(RopeCuda, TurnsAsTheCpuDoesAndBack) {
  constexpr std::int64_t kPositions = 50;
  for (const auto& [rows, heads, half] :
       {std::array<std::int64_t, 3>{0, 2, 8}, {1, 1, 1}, {37, 3, 8}, {200, 2, 4}, {70, 5, 3}, {19, 4, 64}}) {
    const Floats cosine({kPositions, half}), sine({kPositions, half});
    rope_table(10000.0F, cosine, sine);
    const Ints positions({rows});
    for (std::int64_t row = 0; row < rows; ++row) positions[row] = static_cast<std::int32_t>(row * 7 % kPositions);
    const Floats x = rounded(normal_tensor({rows, heads * 2 * half}, 1), dtype());
    const Tensor there = put(x, dtype()), cosine_there = put(cosine), sine_there = put(sine);
    const Floats before({rows, heads * 2 * half}, x.values());
    for (const bool inverse : {false, true}) {
      rope(x, static_cast<int>(heads), cosine, sine, positions, inverse, host_stream());
      rope(there, static_cast<int>(heads), cosine_there, sine_there, put(positions), inverse, stream_);
      EXPECT_LE(error_of(get<float>(there), x), tolerance(dtype())) << rows << " x " << heads << " x " << 2 * half;
    }
    EXPECT_LE(error_of(get<float>(there), before), tolerance(dtype()));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RopeCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
