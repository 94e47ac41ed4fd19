#include "runtime/model/head.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

constexpr std::size_t kHidden = 6, kVocab = 5;
constexpr std::int64_t kTokens = 6, kLength = 3;
constexpr float kEps = 1e-6F;

class HeadOfADecoder : public testing::Test {
 protected:
  TrainedTensor random_weight(Shape shape) {
    return {random_tensor(shape, 0.7F, random_, arena_), arena_.zeros<float>(shape)};
  }
  /// Logits of a token, the slow way.
  Doubles slow_logits(std::size_t token) const {
    const Doubles row = slow_row(doubles_of(h_), kHidden, token);
    return slow_product(doubles_of(projection_.value), slow_rms_norm(row, doubles_of(norm_.value), kEps));
  }
  double slow_loss() const {
    double sum = 0;
    for (std::size_t t = 0; t < kTokens; ++t) {
      const std::int32_t label = labels_.data<std::int32_t>()[t];
      if (label >= 0) sum -= std::log(slow_softmax(slow_logits(t))[static_cast<std::size_t>(label)]);
    }
    return sum;
  }

  Arena arena_;
  std::mt19937 random_{7};
  TrainedTensor norm_ = random_weight({kHidden}), projection_ = random_weight({kVocab, kHidden});
  Head head_{kEps, norm_, projection_, host_stream()};
  Tensor h_ = random_tensor({kTokens, kHidden}, 1, random_, arena_);
  Tensor labels_ = tensor_of<std::int32_t>({kTokens}, {0, 4, -1, 2, 2, 1}, arena_);
  Tensor loss_ = arena_.zeros<double>({1});
};

TEST_F(HeadOfADecoder, LogitsAreTheNormedRowsTimesTheProjection) {
  const Tensor logits = arena_.make<float>({kTokens, kVocab});
  head_.logits(h_, kLength, logits, arena_);
  Doubles wanted;
  for (std::size_t t = 0; t < kTokens; ++t) {
    const Doubles row = slow_logits(t);
    wanted.insert(wanted.end(), row.begin(), row.end());
  }
  expect_near(logits, wanted, 1e-6);
}

TEST_F(HeadOfADecoder, LossIsTheCrossEntropyOfLabelsThatCount) {
  *loss_.data<double>() = 2;
  head_.add_loss(h_, labels_, kLength, loss_, arena_);
  EXPECT_NEAR(*loss_.data<double>(), 2 + slow_loss(), 1e-5);
}

TEST_F(HeadOfADecoder, GradientsAreTheSlopesOfTheLoss) {
  constexpr float kScale = 0.5F, kStep = 1e-2F;
  const Tensor d = arena_.make<float>(h_.shape());
  head_.backward(h_, labels_, kLength, kScale, loss_, d, arena_);
  EXPECT_NEAR(*loss_.data<double>(), slow_loss(), 1e-5);
  const auto expect_slopes = [&](const Tensor& x, const Tensor& gradient) {
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      float& value = x.data<float>()[i];
      const float kept = value;
      value = kept + kStep;
      const double above = slow_loss();
      value = kept - kStep;
      const double below = slow_loss();
      value = kept;
      EXPECT_NEAR(gradient.data<float>()[i], kScale * (above - below) / (2 * kStep), 2e-3);
    }
  };
  expect_slopes(h_, d);
  expect_slopes(norm_.value, norm_.gradient);
  expect_slopes(projection_.value, projection_.gradient);
}

TEST_F(HeadOfADecoder, TakesNoTokens) {
  const Tensor none = arena_.make<float>({0, kHidden});
  head_.backward(none, arena_.make<std::int32_t>({0}), kLength, 1, loss_, none, arena_);
  EXPECT_EQ(*loss_.data<double>(), 0);
}

}  // namespace
}  // namespace coe
