#include "runtime/layer/experts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/tensors.h"
#include "tests/thread_sanitizer.h"

namespace coe {
namespace {

/// Random weights and zero gradients of `count` experts.
std::vector<ExpertWeights> random_experts(std::int64_t count, std::int64_t hidden, std::int64_t width,
                                          std::mt19937& random, Arena& arena) {
  std::vector<ExpertWeights> experts;
  for (std::int64_t e = 0; e < count; ++e) {
    const Shape gate_up{2 * width, hidden}, down{hidden, width};
    experts.push_back({random_tensor(gate_up, 1, random, arena), random_tensor(down, 1, random, arena),
                       arena.zeros<float>(gate_up), arena.zeros<float>(down)});
  }
  return experts;
}

ExpertRows random_rows(const std::vector<std::int32_t>& offsets, std::int64_t hidden, std::mt19937& random,
                       Arena& arena) {
  const std::int64_t rows = offsets.back();
  return {random_tensor({rows, hidden}, 1, random, arena), random_tensor({rows}, 1, random, arena),
          tensor_of<std::int32_t>({std::ssize(offsets)}, offsets, arena)};
}

/// Room for the results of as many rows.
ExpertRows blank(const ExpertRows& rows, bool with_scalar, Arena& arena) {
  return {arena.make<float>(rows.rows.shape()), arena.make<float>({with_scalar ? rows.rows.extent(0) : 0}),
          rows.offsets};
}

/// An expert without rows, one with one and one with three.
class ThreeExperts : public testing::Test {
 protected:
  static constexpr std::int64_t kHidden = 5, kWidth = 4;

  static Doubles slow_output(const Doubles& gate_up, const Doubles& down, const Doubles& x) {
    constexpr std::size_t kHalf = kWidth * kHidden;
    return slow_swiglu(slow_row(gate_up, kHalf, 0), slow_row(gate_up, kHalf, 1), down, x);
  }

  /// sum over the rows of expert `e` of w <d, E(x)>, with weights and all rows to be varied.
  double slow_loss(std::size_t e, const Doubles& gate_up, const Doubles& down, const Doubles& x) const {
    double loss = 0;
    for (auto r = static_cast<std::size_t>(offsets_[e]); r < static_cast<std::size_t>(offsets_[e + 1]); ++r) {
      const Doubles out = slow_output(gate_up, down, slow_row(x, kHidden, r));
      loss +=
          static_cast<double>(d_.scalar.data<float>()[r]) * slow_dot(slow_row(doubles_of(d_.rows), kHidden, r), out);
    }
    return loss;
  }

  void run() {
    ExpertsSaved saved;
    out_ = blank(in_, false, arena_);
    dx_ = blank(d_, true, arena_);
    experts_.forward(in_, out_, &saved, arena_);
    experts_.backward(d_, dx_, saved, arena_);
  }

  Arena arena_;
  std::mt19937 random_{3};
  std::vector<std::int32_t> offsets_ = {0, 0, 1, 4};
  std::vector<ExpertWeights> weights_ = random_experts(3, kHidden, kWidth, random_, arena_);
  Experts experts_{weights_};
  ExpertRows in_ = random_rows(offsets_, kHidden, random_, arena_);
  ExpertRows d_ = random_rows(offsets_, kHidden, random_, arena_);
  ExpertRows out_, dx_;
};

TEST_F(ThreeExperts, PackedWeightsAreCopiesThatGiveTheSameBits) {
  run();
  const ExpertRows packed = blank(in_, false, arena_);
  experts_.pack();
  for (const ExpertWeights& weights : weights_) std::ranges::fill(weights.gate_up.span<float>(), 0.0F);
  experts_.forward(in_, packed, nullptr, arena_);
  EXPECT_TRUE(std::ranges::equal(packed.rows.span<float>(), out_.rows.span<float>()));
}

TEST_F(ThreeExperts, ForwardIsSwigluRowByRow) {
  run();
  const std::vector<std::size_t> expert_of_row = {1, 2, 2, 2};
  for (std::size_t r = 0; r < expert_of_row.size(); ++r) {
    const std::size_t e = expert_of_row[r];
    const Doubles x = slow_row(doubles_of(in_.rows), kHidden, r);
    const Doubles expected = slow_output(doubles_of(weights_[e].gate_up), doubles_of(weights_[e].down), x);
    expect_near(out_.rows[static_cast<std::int64_t>(r)], expected, 2e-6);
    // The gradient of a mixing weight is <d, E(x)>.
    EXPECT_NEAR(dx_.scalar.data<float>()[r], slow_dot(slow_row(doubles_of(d_.rows), kHidden, r), expected), 5e-6);
  }
}

TEST_F(ThreeExperts, GradientsAgreeWithCentralDifferences) {
  run();
  const Doubles x = doubles_of(in_.rows);
  Doubles expected_dx(x.size(), 0.0);
  for (std::size_t e = 0; e < 3; ++e) {
    const Doubles gate_up = doubles_of(weights_[e].gate_up), down = doubles_of(weights_[e].down);
    const auto by_gate_up = [&](const Doubles& moved) { return slow_loss(e, moved, down, x); };
    const auto by_down = [&](const Doubles& moved) { return slow_loss(e, gate_up, moved, x); };
    const auto by_x = [&](const Doubles& moved) { return slow_loss(e, gate_up, down, moved); };
    expect_near(weights_[e].gate_up_gradient, slow_gradient(by_gate_up, gate_up), 5e-6);
    expect_near(weights_[e].down_gradient, slow_gradient(by_down, down), 5e-6);
    const Doubles dx = slow_gradient(by_x, x);
    for (std::size_t i = 0; i < dx.size(); ++i) expected_dx[i] += dx[i];
  }
  expect_near(dx_.rows, expected_dx, 5e-6);
}

TEST_F(ThreeExperts, GradientsAddUpOverCalls) {
  run();
  const std::vector<float> once = values_of<float>(weights_[2].gate_up_gradient);
  const std::vector<float> once_down = values_of<float>(weights_[2].down_gradient);
  run();
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_FLOAT_EQ(weights_[2].gate_up_gradient.data<float>()[i], 2 * once[i]);
  }
  for (std::size_t i = 0; i < once_down.size(); ++i) {
    EXPECT_FLOAT_EQ(weights_[2].down_gradient.data<float>()[i], 2 * once_down[i]);
  }
  EXPECT_EQ(values_of<float>(weights_[0].gate_up_gradient), std::vector<float>(2 * kWidth * kHidden, 0));
}

TEST_F(ThreeExperts, ForwardAloneGivesTheSameBits) {
  run();
  const ExpertRows again = blank(in_, false, arena_);
  experts_.forward(in_, again, nullptr, arena_);
  EXPECT_EQ(values_of<float>(again.rows), values_of<float>(out_.rows));
}

TEST(Experts, BitsOfOneDoNotDependOnTheOthersBesideIt) {
  Arena arena;
  std::mt19937 random(4);
  constexpr std::int64_t kHidden = 40, kWidth = 24;
  const std::vector<ExpertWeights> all = random_experts(3, kHidden, kWidth, random, arena);
  const ExpertRows in = random_rows({0, 13, 30, 37}, kHidden, random, arena);
  const ExpertRows d = random_rows({0, 13, 30, 37}, kHidden, random, arena);
  ExpertWeights alone = all[1];
  alone.gate_up_gradient = arena.zeros<float>(all[1].gate_up.shape());
  alone.down_gradient = arena.zeros<float>(all[1].down.shape());
  const auto middle = [&](const ExpertRows& rows) {
    return ExpertRows{rows.rows.rows(13, 17), rows.scalar.rows(13, 17), tensor_of<std::int32_t>({2}, {0, 17}, arena)};
  };
  ExpertsSaved saved, saved_alone;
  const ExpertRows out = blank(in, false, arena), dx = blank(d, true, arena);
  Experts(all).forward(in, out, &saved, arena);
  Experts(all).backward(d, dx, saved, arena);
  const ExpertRows out_alone = blank(middle(in), false, arena), dx_alone = blank(middle(d), true, arena);
  Experts({alone}).forward(middle(in), out_alone, &saved_alone, arena);
  Experts({alone}).backward(middle(d), dx_alone, saved_alone, arena);
  EXPECT_EQ(values_of<float>(out.rows.rows(13, 17)), values_of<float>(out_alone.rows));
  EXPECT_EQ(values_of<float>(dx.rows.rows(13, 17)), values_of<float>(dx_alone.rows));
  EXPECT_EQ(values_of<float>(dx.scalar.rows(13, 17)), values_of<float>(dx_alone.scalar));
  EXPECT_EQ(values_of<float>(all[1].gate_up_gradient), values_of<float>(alone.gate_up_gradient));
  EXPECT_EQ(values_of<float>(all[1].down_gradient), values_of<float>(alone.down_gradient));
}

/// What experts make of random rows; the same rows and weights at every call.
std::vector<std::vector<float>> results_of(int threads) {
  constexpr std::int64_t kHidden = 100, kWidth = 200;
  Arena arena;
  std::mt19937 random(5);
  const std::vector<std::int32_t> offsets = {0, 0, 1, 901, 914, 1700, 1700};
  const std::vector<ExpertWeights> weights = random_experts(6, kHidden, kWidth, random, arena);
  const ExpertRows in = random_rows(offsets, kHidden, random, arena), d = random_rows(offsets, kHidden, random, arena);
  const ExpertRows out = blank(in, false, arena), dx = blank(d, true, arena);
  ExpertsSaved saved;
  const Experts experts(weights, threads);
  experts.forward(in, out, &saved, arena);
  experts.backward(d, dx, saved, arena);
  std::vector<std::vector<float>> results = {values_of<float>(out.rows), values_of<float>(dx.rows),
                                             values_of<float>(dx.scalar)};
  for (const ExpertWeights& one : weights) {
    results.push_back(values_of<float>(one.gate_up_gradient));
    results.push_back(values_of<float>(one.down_gradient));
  }
  return results;
}

TEST(Experts, BitsDoNotDependOnTheThreads) {
  SKIP_UNDER_THREAD_SANITIZER();
  const auto one = results_of(1);
  for (const int threads : {2, 3, 5}) EXPECT_TRUE(results_of(threads) == one) << threads << " threads";
}

TEST(Experts, ARankMayHoldNone) {
  Arena arena;
  const Experts none({});
  const ExpertRows in{arena.make<float>({0, 4}), arena.make<float>({0}), tensor_of<std::int32_t>({1}, {0}, arena)};
  ExpertsSaved saved;
  none.forward(in, in, &saved, arena);
  none.backward(in, in, saved, arena);
}

}  // namespace
}  // namespace coe
