#include "kernels/routing/router_noise.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr RandomKey kKey{3, 9};
/// Beyond 32 bits.
constexpr std::int64_t kFirst = (std::int64_t{1} << 33) + 5, kToken = 7;

class RouterNoiseFloatsCuda : public OnCuda {
 protected:
  /// Whose first token is number kFirst.
  TokenDraw draw() {
    const Owned<std::int64_t> step({2}, {static_cast<std::int64_t>(kKey.seed), kFirst - kToken});
    return {put(step), kKey.stream, kToken};
  }
};
class RouterNoiseCuda : public RouterNoiseFloatsCuda, public testing::WithParamInterface<DType> {};

TEST_P(RouterNoiseCuda, JitterTakesTheCpusNumbersThereAndBack) {
  for (const std::int64_t n : {0, 1, 1000, 5001}) {
    const Floats factor({n}), x = rounded(normal_tensor({n}, 1), GetParam()),
                              dx = rounded(normal_tensor({n}, 2), GetParam());
    fill_uniform(factor, kKey, 0.75F, 1.25F, kFirst);
    const Floats out({n}), wanted_dx({n});
    for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] * factor[i];
    for (std::int64_t i = 0; i < n; ++i) wanted_dx[i] = dx[i] + x[i] * factor[i];
    const Tensor there = room(GetParam(), {n}), dx_there = put(dx, GetParam());
    cuda::jitter(put(x, GetParam()), draw(), 0.25F, there, stream_);
    cuda::jitter_backward(put(x, GetParam()), draw(), 0.25F, dx_there, stream_);
    EXPECT_EQ(get<float>(there).values(), rounded(out, GetParam()).values());
    EXPECT_LE(error_of(get<float>(dx_there), wanted_dx), tolerance(GetParam()));
  }
}

TEST_F(RouterNoiseFloatsCuda, NoiseIsTheCpusNormalTimesSoftplus) {
  for (const auto& [tokens, n] : {std::pair<std::int64_t, std::int64_t>{0, 4}, {1, 1}, {67, 33}}) {
    const Floats normal({tokens, n}), logits = normal_tensor({tokens, n}, 3), noise = normal_tensor({tokens, n}, 4, 20);
    const Floats dlogits = normal_tensor({tokens, n}, 5), sum({tokens, n}), slope({tokens, n}), dnoise({tokens, n});
    fill_normal(normal, kKey, 0, 1, static_cast<std::uint64_t>(kFirst * n));
    for (std::int64_t i = 0; i < tokens * n; ++i) {
      const double x = noise[i], drawn = normal[i];
      sum[i] = static_cast<float>(logits[i] + drawn * (std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)))));
      slope[i] = static_cast<float>(drawn / (1 + std::exp(-x)));
      dnoise[i] = slope[i] * dlogits[i];
    }
    const Tensor logits_there = put(logits), noise_there = put(noise), dlogits_there = put(dlogits);
    cuda::add_router_noise(logits_there, noise_there, draw(), stream_);
    cuda::router_noise_backward(noise_there, dlogits_there, dlogits_there, stream_);
    EXPECT_LE(error_of(get<float>(logits_there), sum), 1e-5);
    EXPECT_LE(error_of(get<float>(noise_there), slope), 1e-5);
    EXPECT_LE(error_of(get<float>(dlogits_there), dnoise), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, RouterNoiseCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
