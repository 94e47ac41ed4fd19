#include "runtime/layer/shared_expert.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"

namespace coe {
namespace {

constexpr std::int64_t kHidden = 7, kWidth = 5, kLength = 3;

struct Shared {
  Floats gate_up = normal_tensor({2 * kWidth, kHidden}, 1), down = normal_tensor({kHidden, kWidth}, 2),
         gate_up_gradient = normal_tensor({2 * kWidth, kHidden}, 3),
         down_gradient = normal_tensor({kHidden, kWidth}, 4);
  ExpertWeights views() const { return {gate_up, down, gate_up_gradient, down_gradient}; }
};

TEST(SharedExpert, IsOneFeedForwardOverSequencesInTheirOrder) {
  for (const std::int64_t sequences : {0, 1, 4}) {
    const std::int64_t tokens = sequences * kLength;
    const Floats x = normal_tensor({tokens, kHidden}, 5), d = normal_tensor({tokens, kHidden}, 6),
                 out({tokens, kHidden}), dx({tokens, kHidden}), ab({tokens, 2 * kWidth});
    Arena arena;
    const Shared ours;
    const SharedExpert shared(ours.views(), host_stream());
    ASSERT_EQ(shared.wide(), 2 * kWidth);
    shared.forward(x, kLength, ab, out, arena);
    shared.backward(x, kLength, ab, d, dx, arena);

    const Shared slow;
    const Floats one({kLength}, std::vector<float>(kLength, 1)), unused({kLength});
    for (std::int64_t b = 0; b < sequences; ++b) {
      const auto rows = [b](const Tensor& all) { return all.rows(b * kLength, kLength); };
      const Floats ab_slow({kLength, 2 * kWidth}), out_slow({kLength, kHidden}), dx_slow({kLength, kHidden});
      expert_forward(slow.views(), rows(x), ab_slow, out_slow, arena);
      EXPECT_TRUE(same_bits(rows(out), out_slow));
      expert_backward(slow.views(), rows(x), ab_slow, rows(d), one, dx_slow, unused, arena);
      EXPECT_TRUE(same_bits(rows(dx), dx_slow));
    }
    EXPECT_EQ(ours.gate_up_gradient.values(), slow.gate_up_gradient.values());
    EXPECT_EQ(ours.down_gradient.values(), slow.down_gradient.values());
  }
}

}  // namespace
}  // namespace coe
