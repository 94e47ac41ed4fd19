#include "kernels/decoder/cross_entropy.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/central_differences.h"

namespace coe {
namespace {

double naive_loss(const Tensor& logits, const Ints& labels) {
  const std::int64_t vocab = logits.extent(1);
  double loss = 0;
  for (std::int64_t row = 0; row < logits.extent(0); ++row) {
    if (labels[row] < 0) continue;
    const float* x = logits.data<float>() + row * vocab;
    double sum = 0;
    for (std::int64_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(x[i]));
    loss += std::log(sum) - x[labels[row]];
  }
  return loss;
}

TEST(CrossEntropy, EqualsTheNaiveSum) {
  for (const std::int64_t vocab : {1, 3, 40, 256}) {
    const Floats logits = normal_tensor({4, vocab}, 1, 3.0F);
    const Ints labels({4}, {0, static_cast<std::int32_t>(vocab - 1), -1, static_cast<std::int32_t>(vocab / 2)});
    EXPECT_NEAR(cross_entropy(logits, labels), naive_loss(logits, labels), 3e-6) << vocab;
  }
}

TEST(CrossEntropy, OfEqualLogitsIsTheLogOfTheirNumber) {
  EXPECT_NEAR(cross_entropy(Floats({2, 8}), Ints({2}, {0, 5})), 2 * std::log(8.0), 1e-7);
  EXPECT_EQ(cross_entropy(Floats({0, 8}), Ints({0})), 0.0);
}

TEST(CrossEntropy, StandsLargeLogits) {
  EXPECT_NEAR(cross_entropy(Floats({1, 2}, {10000, 9990}), Ints({1}, {1})), 10.0000454, 1e-3);
}

TEST(CrossEntropyBackward, EqualsCentralDifferencesAndTheForwardsLoss) {
  const Floats logits = normal_tensor({4, 23}, 1, 2.0F), dlogits({4, 23});
  const Ints labels({4}, {3, -1, 22, 0});
  const auto wanted = central_differences(logits, [&] { return 0.25 * naive_loss(logits, labels); });
  EXPECT_EQ(cross_entropy_backward(logits, labels, 0.25F, dlogits), cross_entropy(logits, labels));
  EXPECT_LT(worst_error(dlogits, wanted), 2e-6);
  cross_entropy_backward(logits, labels, 0.25F, logits);
  EXPECT_TRUE(same_bits(logits, dlogits)) << "in place";
}

TEST(CrossEntropy, OnTheHostsStreamAddsTheSame) {
  const Floats logits = normal_tensor({3, 5}, 1), dlogits({3, 5}), wanted({3, 5});
  const Ints labels({3}, {4, -1, 0});
  const double once = cross_entropy_backward(logits, labels, 0.5F, wanted);
  const Owned<double> loss({1}, {2.0});
  Arena arena;
  cross_entropy(logits, labels, loss, arena, host_stream());
  EXPECT_EQ(loss[0], 2.0 + once);
  cross_entropy_backward(logits, labels, 0.5F, dlogits, loss, arena, host_stream());
  EXPECT_EQ(loss[0], 2.0 + once + once);
  EXPECT_TRUE(same_bits(dlogits, wanted));
}

TEST(CrossEntropy, RefusesLabelsBeyondTheVocabulary) {
  const Floats logits({2, 3});
  const Ints labels({2}, {0, 3});
  EXPECT_EQ(thrown_code([&] { cross_entropy(logits, labels); }), ErrorCode::kBadInput);
  EXPECT_EQ(thrown_code([&] { cross_entropy_backward(logits, labels, 1.0F, logits); }), ErrorCode::kBadInput);
  EXPECT_EQ(logits.values(), std::vector<float>(6, 0.0F)) << "nothing may be written before the check";
  EXPECT_EQ(thrown_code([&] { cross_entropy(logits, Ints({3})); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
