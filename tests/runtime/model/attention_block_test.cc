#include "runtime/model/attention_block.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "kernels/decoder/rope.h"
#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

constexpr std::size_t kHidden = 8, kHeads = 2, kWidth = 4, kLength = 5;
constexpr float kEps = 1e-6F, kTheta = 100.0F;

/// Two sequences, as they are and fallen apart into documents.
const std::vector<std::int32_t> kSequences = {5, 5}, kDocuments = {2, 3, 1, 4};

/// norm, q, k, v, o
using Weights = std::array<Doubles, 5>;

/// Turns the pairs (i, i + width / 2) of every head by position * theta^(-2 i / width).
void slow_rope(Doubles& row, double position) {
  for (std::size_t head = 0; head < kHidden; head += kWidth) {
    for (std::size_t i = 0; i < kWidth / 2; ++i) {
      const double angle = position * std::pow(kTheta, -2.0 * static_cast<double>(i) / kWidth);
      double &first = row[head + i], &second = row[head + i + kWidth / 2];
      const double turned = first * std::cos(angle) - second * std::sin(angle);
      second = second * std::cos(angle) + first * std::sin(angle);
      first = turned;
    }
  }
}

Doubles slow_head(const Doubles& row, std::size_t head) { return slow_row(row, kWidth, head); }

/// What the token at `position` sees of its sequence, all heads one after the other.
Doubles slow_attention(const std::vector<Doubles>& q, const std::vector<Doubles>& k, const std::vector<Doubles>& v,
                       std::size_t position) {
  Doubles mixed;
  for (std::size_t head = 0; head < kHeads; ++head) {
    Doubles scores;
    for (std::size_t earlier = 0; earlier <= position; ++earlier) {
      scores.push_back(slow_dot(slow_head(q[position], head), slow_head(k[earlier], head)) / std::sqrt(kWidth));
    }
    const Doubles p = slow_softmax(scores);
    for (std::size_t i = 0; i < kWidth; ++i) {
      double sum = 0;
      for (std::size_t earlier = 0; earlier <= position; ++earlier) sum += p[earlier] * v[earlier][head * kWidth + i];
      mixed.push_back(sum);
    }
  }
  return mixed;
}

/// Rows of `lengths` each see one another and nothing else.
Doubles slow_block(const Weights& weights, const Doubles& h, const std::vector<std::int32_t>& lengths) {
  Doubles out = h;
  std::size_t first = 0;
  for (const std::int32_t length : lengths) {
    const auto rows = static_cast<std::size_t>(length);
    std::vector<Doubles> q, k, v;
    for (std::size_t t = 0; t < rows; ++t) {
      const Doubles x = slow_rms_norm(slow_row(h, kHidden, first + t), weights[0], kEps);
      q.push_back(slow_product(weights[1], x));
      k.push_back(slow_product(weights[2], x));
      v.push_back(slow_product(weights[3], x));
      slow_rope(q.back(), static_cast<double>(t));
      slow_rope(k.back(), static_cast<double>(t));
    }
    for (std::size_t t = 0; t < rows; ++t) {
      const Doubles projected = slow_product(weights[4], slow_attention(q, k, v, t));
      for (std::size_t i = 0; i < kHidden; ++i) out[(first + t) * kHidden + i] += projected[i];
    }
    first += rows;
  }
  return out;
}

/// Two sequences.
class Attention : public testing::Test {
 protected:
  Attention() { rope_table(kTheta, cosine_, sine_); }

  TrainedTensor random_weight(Shape shape) {
    return {random_tensor(shape, 0.7F, random_, arena_), arena_.zeros<float>(shape)};
  }
  Tensor forward(const Tensor& h, const Batch& batch) {
    const Tensor out = arena_.make<float>(h.shape());
    block_.forward(h, attention_rows(batch, arena_, host_stream()), cosine_, sine_, out, saved_, arena_);
    return out;
  }
  std::array<TrainedTensor, 5> trained() const {
    return {weights_.norm, weights_.q, weights_.k, weights_.v, weights_.o};
  }
  Weights slow_weights() const {
    Weights weights;
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = doubles_of(trained()[i].value);
    return weights;
  }

  Arena arena_;
  std::mt19937 random_{21};
  Tensor cosine_ = arena_.make<float>({kLength, kWidth / 2}), sine_ = arena_.make<float>({kLength, kWidth / 2});
  AttentionWeights weights_{random_weight({kHidden}), random_weight({kHidden, kHidden}),
                            random_weight({kHidden, kHidden}), random_weight({kHidden, kHidden}),
                            random_weight({kHidden, kHidden})};
  AttentionBlock block_{kHeads, kEps, weights_, host_stream()};
  AttentionSaved saved_;
  Batch batch_{.sequences = 2, .length = kLength};
  Tensor h_ = random_tensor({2 * kLength, kHidden}, 1, random_, arena_);
};

TEST_F(Attention, ForwardAgreesWithTheSlowWay) {
  expect_near(forward(h_, batch_), slow_block(slow_weights(), doubles_of(h_), kSequences), 5e-6);
}

TEST_F(Attention, DocumentsSeeNothingOfOneAnother) {
  batch_.documents = kDocuments;
  expect_near(forward(h_, batch_), slow_block(slow_weights(), doubles_of(h_), kDocuments), 5e-6);
}

TEST_F(Attention, ADocumentHasTheBitsThatItHasAlone) {
  batch_.documents = kDocuments;
  const std::vector<float> together = values_of<float>(forward(h_, batch_));
  std::size_t first = 0;
  for (const std::int32_t length : kDocuments) {
    const Tensor alone = h_.rows(static_cast<std::int64_t>(first), length);
    const std::vector<float> values = values_of<float>(forward(alone, {.sequences = 1, .length = length}));
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], together[first * kHidden + i]) << first;
    first += static_cast<std::size_t>(length);
  }
}

TEST_F(Attention, NoTokenSeesLaterOnesOrOtherSequences) {
  const std::vector<float> before = values_of<float>(forward(h_, batch_));
  const std::size_t changed = 3;  // of the first sequence
  for (float& value : h_[changed].span<float>()) value += 1;
  const std::vector<float> after = values_of<float>(forward(h_, batch_));
  for (std::size_t i = 0; i < before.size(); ++i) {
    const std::size_t token = i / kHidden;
    if (token < changed || token >= kLength) {
      EXPECT_EQ(after[i], before[i]) << "token " << token;
    }
  }
  EXPECT_NE(after[changed * kHidden], before[changed * kHidden]);
  EXPECT_NE(after[(changed + 1) * kHidden], before[(changed + 1) * kHidden]);
}

class AttentionGradients : public Attention, public testing::WithParamInterface<bool> {};

TEST_P(AttentionGradients, AgreeWithCentralDifferences) {
  const std::vector<std::int32_t>& lengths = GetParam() ? kDocuments : kSequences;
  if (GetParam()) batch_.documents = kDocuments;
  const Tensor d = random_tensor(h_.shape(), 1, random_, arena_);
  const Doubles upstream = doubles_of(d), h = doubles_of(h_);
  const Weights weights = slow_weights();
  forward(h_, batch_);
  block_.backward(d, attention_rows(batch_, arena_, host_stream()), cosine_, sine_, saved_, arena_);
  const auto by_h = [&](const Doubles& moved) { return slow_dot(upstream, slow_block(weights, moved, lengths)); };
  expect_near(d, slow_gradient(by_h, h), 1e-5);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    SCOPED_TRACE(i);
    const auto by_weight = [&](const Doubles& moved) {
      Weights varied = weights;
      varied[i] = moved;
      return slow_dot(upstream, slow_block(varied, h, lengths));
    };
    expect_near(trained()[i].gradient, slow_gradient(by_weight, weights[i]), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(OfSequencesAndDocuments, AttentionGradients, testing::Bool());

TEST_F(Attention, ThereMayBeNoSequences) {
  const Batch nothing{.sequences = 0, .length = kLength};
  const Tensor h = arena_.make<float>({0, kHidden});
  EXPECT_EQ(forward(h, nothing).extent(0), 0);
  block_.backward(h, attention_rows(nothing, arena_, host_stream()), cosine_, sine_, saved_, arena_);
  EXPECT_EQ(values_of<float>(weights_.q.gradient), std::vector<float>(kHidden * kHidden, 0.0F));
}

}  // namespace
}  // namespace coe
