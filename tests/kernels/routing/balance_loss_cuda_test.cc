#include "kernels/routing/balance_loss.h"

#include <array>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

struct Sizes {
  std::int64_t tokens, n, runs;
};

/// One expert, a warp and a little more, more tokens than parts, no tokens.
constexpr std::array kSizes = {Sizes{13, 5, 1}, Sizes{9, 64, 3}, Sizes{6, 1, 1}, Sizes{300, 33, 10}, Sizes{0, 8, 1}};

class BalanceLossCuda : public OnCuda {};

TEST_F(BalanceLossCuda, LossesAreAddedUpInDouble) {
  for (const Sizes& s : kSizes) {
    for (const bool divided : {false, true}) {
      const Floats score = normal_tensor({s.tokens, s.n}, 7), factor = normal_tensor({s.runs, s.n}, 8);
      const Floats logsumexp = normal_tensor({s.tokens}, 9), sum({s.tokens});
      for (std::int64_t t = 0; t < s.tokens; ++t) sum[t] = static_cast<float>(t + 2);
      const Tensor partial = room(DType::kF64, {cuda::kLossParts});
      const Tensor loss = put(Owned<double>({1}, {4}));
      cuda::add_balance_loss({put(score), divided ? put(sum) : Tensor(), {}, put(logsumexp)}, put(factor), 0.3F,
                             partial, loss, stream_);
      double wanted = 4;
      for (std::int64_t i = 0; i < s.tokens * s.n; ++i) {
        const std::int64_t run = i / s.n / std::max<std::int64_t>(1, s.tokens / s.runs);
        wanted += static_cast<double>(factor[run * s.n + i % s.n]) * score[i] / (divided ? sum[i / s.n] : 1.0F);
      }
      for (const float z : logsumexp) wanted += static_cast<double>(0.3F) * z * z;
      EXPECT_NEAR(get<double>(loss)[0], wanted, 1e-9 * (1 + std::abs(wanted)));
    }
  }
}

TEST_F(BalanceLossCuda, CountsAreScaled) {
  const Tensor factor = room(DType::kF32, {2, 3});
  const Tensor counts = put(Ints({2, 3}, {0, 1, 2, 3, 4, 1000}));
  cuda::scale_counts(counts, 0.5, {}, factor, stream_);
  EXPECT_EQ(get<float>(factor).values(), (std::vector<float>{0, 0.5F, 1, 1.5F, 2, 500}));
  cuda::scale_counts(counts, 0.5, put(Owned<double>({1}, {4})), factor, stream_);
  EXPECT_EQ(get<float>(factor).values(), (std::vector<float>{0, 2, 4, 6, 8, 2000}));
}

}  // namespace
}  // namespace coe
