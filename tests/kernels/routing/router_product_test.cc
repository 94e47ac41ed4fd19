#include "kernels/routing/router_product.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

constexpr std::int64_t kHidden = 40, kTokens[] = {0, 1, 70}, kExperts[] = {1, 5, 63, 64};

class RouterProduct : public testing::Test {
 protected:
  Arena arena_;
};

TEST_F(RouterProduct, LogitsAreSumsOverATokensNumbers) {
  for (const std::int64_t tokens : kTokens) {
    for (const std::int64_t experts : kExperts) {
      const Floats x = normal_tensor({tokens, kHidden}, 1), w = normal_tensor({experts, kHidden}, 2),
                   logits({tokens, experts}), unpacked({tokens, experts});
      router_logits(x, ready_weight(w, arena_), logits, arena_, host_stream());
      linear(x, w, unpacked);
      EXPECT_EQ(logits.values(), unpacked.values());
      for (std::int64_t i = 0; i < tokens * experts; ++i) {
        double sum = 0;
        for (std::int64_t d = 0; d < kHidden; ++d) {
          sum += static_cast<double>(x[i / experts * kHidden + d]) * w[i % experts * kHidden + d];
        }
        EXPECT_NEAR(logits[i], sum, 1e-4);
      }
    }
  }
}

TEST_F(RouterProduct, InputGradientIsSumsOverExpertsAndAddedWhereAsked) {
  for (const float beta : {0.0F, 1.0F}) {
    const std::int64_t tokens = 7, experts = 63;
    const Floats dlogits = normal_tensor({tokens, experts}, 3), w = normal_tensor({experts, kHidden}, 4),
                 before = normal_tensor({tokens, kHidden}, 5), dx({tokens, kHidden}, before.values());
    router_input_gradient(dlogits, w, beta, dx, arena_, host_stream());
    for (std::int64_t i = 0; i < tokens * kHidden; ++i) {
      double sum = static_cast<double>(beta) * before[i];
      for (std::int64_t e = 0; e < experts; ++e) {
        sum += static_cast<double>(dlogits[i / kHidden * experts + e]) * w[e * kHidden + i % kHidden];
      }
      EXPECT_NEAR(dx[i], sum, 1e-4);
    }
  }
}

TEST_F(RouterProduct, WeightGradientIsSumsOverTokensAndAdded) {
  for (const std::int64_t tokens : kTokens) {
    const std::int64_t experts = 5;
    const Floats dlogits = normal_tensor({tokens, experts}, 6), x = normal_tensor({tokens, kHidden}, 7),
                 before = normal_tensor({experts, kHidden}, 8), dw({experts, kHidden}, before.values());
    router_weight_gradient(dlogits, x, dw, arena_, host_stream());
    for (std::int64_t i = 0; i < experts * kHidden; ++i) {
      double sum = before[i];
      for (std::int64_t t = 0; t < tokens; ++t) {
        sum += static_cast<double>(dlogits[t * experts + i / kHidden]) * x[t * kHidden + i % kHidden];
      }
      EXPECT_NEAR(dw[i], sum, 1e-4);
    }
  }
}

TEST_F(RouterProduct, RefusesOtherShapesAndRoundedRouters) {
  const Floats x({3, 8}), w({5, 8}), dlogits({3, 4});
  EXPECT_EQ(thrown_code([&] { router_weight_gradient(dlogits, x, w, arena_, host_stream()); }), ErrorCode::kInternal);
  const Tensor narrow = arena_.make<Bf16>({5, 8});
  EXPECT_EQ(thrown_code([&] {
              router_input_gradient(Floats({3, 5}), narrow, 0, x, arena_, host_stream());
            }),
            ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
