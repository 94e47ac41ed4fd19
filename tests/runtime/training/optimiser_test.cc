#include "runtime/training/optimiser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#include "comm/local_transport.h"
#include "kernels/memory/error.h"
#include "runtime/ranks/placement.h"
#include "tests/ranks.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TrainingConfig schedule_of(Schedule schedule) {
  return {.steps = 20, .learning_rate = 0.01F, .warmup_steps = 4, .schedule = schedule, .final_learning_rate = 0.001F};
}

TEST(LearningRate, WarmsUpLinearlyThenStays) {
  const TrainingConfig config = schedule_of(Schedule::kConstant);
  EXPECT_NEAR(learning_rate_at(config, 1), 0.0025, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 3), 0.0075, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 4), 0.01, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 5), 0.01, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 20), 0.01, 1e-9);
}

TEST(LearningRate, FollowsACosineDownToItsEnd) {
  const TrainingConfig config = schedule_of(Schedule::kCosine);
  EXPECT_NEAR(learning_rate_at(config, 2), 0.005, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 4), 0.01, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 8), 0.001 + 0.009 * (1 + std::sqrt(0.5)) / 2, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 12), 0.0055, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 20), 0.001, 1e-9);
  EXPECT_NEAR(learning_rate_at(config, 25), 0.001, 1e-9);
}

TEST(LearningRate, IsAnnealedAfterTheWarmUpAlone) {
  TrainingConfig config = schedule_of(Schedule::kCosine);
  EXPECT_EQ(annealed(config, 1), 1);
  EXPECT_EQ(annealed(config, config.warmup_steps), 1);
  const std::int64_t middle = (config.warmup_steps + config.steps) / 2;
  EXPECT_DOUBLE_EQ(annealed(config, middle), learning_rate_at(config, middle) / config.learning_rate);
  EXPECT_LT(annealed(config, middle), 1);
  config.schedule = Schedule::kConstant;
  EXPECT_EQ(annealed(config, config.steps), 1);
}

TEST(LearningRate, NeedsNoWarmUp) {
  TrainingConfig config = schedule_of(Schedule::kConstant);
  config.warmup_steps = 0;
  EXPECT_NEAR(learning_rate_at(config, 1), 0.01, 1e-9);
  config.schedule = Schedule::kCosine;
  config.warmup_steps = config.steps;
  EXPECT_NEAR(learning_rate_at(config, config.steps), 0.01, 1e-9);
}

/// Seven experts of two weights each, sharded, and three replicated weights.
std::vector<ParameterSpec> seven_experts(const RankGroups& groups) {
  const Group group = groups.experts();
  const Placement placement(7, group.size());
  std::vector<ParameterSpec> specs = {{"replicated", {3}, false}};
  for (const std::int64_t e : placement.experts_of(group.rank())) {
    specs.push_back({"experts." + std::to_string(e), {2}, true});
  }
  return specs;
}

Parameters shared(const std::vector<ParameterSpec>& specs, const RankGroups& groups, bool shards_state) {
  return Parameters(specs, true, host_stream(), DType::kF32, weight_sharing(groups, shards_state));
}

/// The gradient of expert e is e + 1, that of the replicated weights 2: norm^2 is 2 (1 + 4 + ... + 49) + 3 * 4 = 292.
void set_gradients(Parameters& parameters) {
  for (const Parameter& parameter : parameters.all()) {
    const float value = parameter.expert ? std::stof(parameter.name.substr(8)) + 1 : 2;
    std::ranges::fill(parameter.gradient.span<float>(), value);
  }
}

void expect_norm(Transport& world, std::int64_t expert_parallel) {
  const RankGroups groups(world, expert_parallel, kDefaultDeadline);
  Parameters parameters = shared(seven_experts(groups), groups, false);
  set_gradients(parameters);
  const double norm = Optimiser({}, groups, parameters).gradient_norm();
  EXPECT_NEAR(norm, std::sqrt(292.0), 1e-9);
  std::vector<double> norms(static_cast<std::size_t>(world.size()));
  all_gather<double>(groups.world(), std::vector{norm}, norms, {"norms"});
  EXPECT_EQ(norms, std::vector<double>(norms.size(), norm));
}

TEST(OptimiserOnRanks, TheNormCountsEveryShardedExpertOnce) {
  for_each_ranks([](Transport& world) { expect_norm(world, 0); });
  on_ranks(4, [](Transport& world) { expect_norm(world, 2); });
  on_ranks(4, [](Transport& world) { expect_norm(world, 1); });
}

/// Every rank's gradients are those of set_gradients() times (its world rank + 1).
void expect_reduction(Transport& world, std::int64_t expert_parallel, float replicated_factor, float expert_factor) {
  const RankGroups groups(world, expert_parallel, kDefaultDeadline);
  Parameters parameters = shared(seven_experts(groups), groups, false);
  set_gradients(parameters);
  for (const Parameter& parameter : parameters.all()) {
    for (float& value : parameter.gradient.span<float>()) value *= static_cast<float>(world.rank() + 1);
  }
  Optimiser({}, groups, parameters).reduce_gradients();
  for (const Parameter& parameter : parameters.all()) {
    const float expected =
        parameter.expert ? expert_factor * (std::stof(parameter.name.substr(8)) + 1) : replicated_factor * 2;
    const auto extent = static_cast<std::size_t>(parameter.gradient.elements());
    EXPECT_EQ(values_of<float>(parameter.gradient), std::vector<float>(extent, expected)) << parameter.name;
  }
}

TEST(OptimiserOnRanks, ReplicatedGradientsAddUpOverTheWorldAndShardedOnesOverReplicas) {
  for_each_ranks([](Transport& world) {
    const int sum = world.size() * (world.size() + 1) / 2;
    expect_reduction(world, 0, static_cast<float>(sum), static_cast<float>(world.rank() + 1));
  });
  // Ranks 0 and 2 hold the same experts, 1 and 3 the others.
  on_ranks(4, [](Transport& world) { expect_reduction(world, 2, 10, world.rank() % 2 == 0 ? 4 : 6); });
}

/// Several stretches of replicated weights and of every rank's experts.
std::vector<ParameterSpec> large_weights(const RankGroups& groups) {
  std::vector<ParameterSpec> specs = {{"a", {300, 211}}, {"norm", {77}}, {"b", {211, 301}}};
  const Placement placement(4, groups.experts().size());
  for (const std::int64_t e : placement.experts_of(groups.experts().rank())) {
    specs.push_back({"experts." + std::to_string(e), {211, 203}, true});
  }
  return specs;
}

/// What a rank's step makes of it: large ones too, which clipping scales.
void draw_gradients(Parameters& parameters, int rank, int step) {
  std::uint32_t bits = 12345U + 7U * static_cast<std::uint32_t>(rank) + 1000U * static_cast<std::uint32_t>(step);
  for (const Parameter& parameter : parameters.all()) {
    for (float& x : parameter.gradient.span<float>()) {
      bits = bits * 1664525U + 1013904223U;
      x = static_cast<float>(bits >> 8) / static_cast<float>(1 << 24) - 0.5F;
    }
  }
}

bool same_bits(const Tensor& one, const Tensor& other) {
  return one.bytes() == other.bytes() && std::memcmp(one.raw(), other.raw(), one.bytes()) == 0;
}

void expect_state_of(const FlatParameters& pieces, const FlatParameters& whole) {
  ASSERT_TRUE(pieces.in_pieces);
  EXPECT_TRUE(same_bits(pieces.value, whole.value));
  EXPECT_LT(pieces.first_moment.elements(), whole.first_moment.elements());
  for (std::int64_t i = 0; i < whole.deal.stretches(); ++i) {
    EXPECT_TRUE(same_bits(pieces.piece(pieces.first_moment, i), whole.piece(whole.first_moment, i))) << i;
    EXPECT_TRUE(same_bits(pieces.piece(pieces.second_moment, i), whole.piece(whole.second_moment, i))) << i;
  }
}

void expect_pieces_do_as_the_whole(Transport& world, std::int64_t expert_parallel) {
  const RankGroups groups(world, expert_parallel, kDefaultDeadline);
  const std::vector<ParameterSpec> specs = large_weights(groups);
  Parameters whole = shared(specs, groups, false), pieces = shared(specs, groups, true);
  TrainingConfig config = schedule_of(Schedule::kCosine);
  config.decay = Decay::kMatrices;
  config.weight_decay = 0.1F;
  Optimiser one(config, groups, whole), other(config, groups, pieces);
  for (int step = 1; step <= 3; ++step) {
    for (Parameters* parameters : {&whole, &pieces}) draw_gradients(*parameters, world.rank(), step);
    one.reduce_gradients();
    other.reduce_gradients();
    const double norm = one.gradient_norm();
    EXPECT_GT(norm, config.clip);
    EXPECT_EQ(other.gradient_norm(), norm);
    one.update(step, norm);
    other.update(step, norm);
  }
  expect_state_of(pieces.replicated(), whole.replicated());
  if (groups.replicas().size() > 1) expect_state_of(pieces.experts(), whole.experts());
}

TEST(OptimiserOnRanks, StateInPiecesMovesEveryWeightAsStateOfTheWholeDoes) {
  for (const int ranks : {2, 3, 4}) {
    on_ranks(ranks, [](Transport& world) { expect_pieces_do_as_the_whole(world, 0); });
  }
  for (const std::int64_t expert_parallel : {1, 2}) {
    on_ranks(4, [&](Transport& world) { expect_pieces_do_as_the_whole(world, expert_parallel); });
  }
}

TEST(OptimiserOnRanks, WeightsMustBeSharedAsTheGroupsAre) {
  on_ranks(2, [](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    Parameters parameters(seven_experts(groups), true);
    EXPECT_THROW(Optimiser({}, groups, parameters), Error);
  });
}

/// One weight and its moments under AdamW in double.
struct SlowAdamW {
  double weight, m = 0, v = 0;
  void update(const TrainingConfig& config, double learning_rate, double gradient, int step) {
    const double beta1 = config.beta1, beta2 = config.beta2;
    weight -= learning_rate * config.weight_decay * weight;
    m = beta1 * m + (1 - beta1) * gradient;
    v = beta2 * v + (1 - beta2) * gradient * gradient;
    const double m_hat = m / (1 - std::pow(beta1, step)), v_hat = v / (1 - std::pow(beta2, step));
    weight -= learning_rate * m_hat / (std::sqrt(v_hat) + config.adam_eps);
  }
};

void expect_updates(float clip, double gradient_scale) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const RankGroups groups(*alone, 0, kDefaultDeadline);
  Parameters parameters(std::vector<ParameterSpec>{{"dense", {1}, false}, {"experts.0", {1}, true}}, true);
  TrainingConfig config = schedule_of(Schedule::kConstant);
  config.weight_decay = 0.1F;
  config.clip = clip;
  Optimiser optimiser(config, groups, parameters);
  SlowAdamW dense{.weight = 0.5}, expert{.weight = -2};
  parameters.at("dense").value.data<float>()[0] = 0.5F;
  parameters.at("experts.0").value.data<float>()[0] = -2;
  for (int step = 1; step <= 6; ++step) {
    // Gradients 3 and 4: their norm is 5.
    parameters.at("dense").gradient.data<float>()[0] = step % 2 == 0 ? 3.0F : -3.0F;
    parameters.at("experts.0").gradient.data<float>()[0] = 4;
    optimiser.update(step, optimiser.gradient_norm());
    const double rate = 0.01 * std::min(1.0, step / 4.0);
    dense.update(config, rate, gradient_scale * (step % 2 == 0 ? 3 : -3), step);
    expert.update(config, rate, gradient_scale * 4, step);
    EXPECT_NEAR(parameters.at("dense").value.data<float>()[0], dense.weight, 1e-6);
    EXPECT_NEAR(parameters.at("experts.0").value.data<float>()[0], expert.weight, 1e-6);
    EXPECT_NEAR(parameters.at("experts.0").first_moment.data<float>()[0], expert.m, 1e-6);
    EXPECT_NEAR(parameters.at("experts.0").second_moment.data<float>()[0], expert.v, 1e-6);
  }
}

TEST(Optimiser, LeavesAloneWhatIsNotTrained) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const RankGroups groups(*alone, 0, kDefaultDeadline);
  Parameters parameters(std::vector<ParameterSpec>{{"dense", {1}}, {"bias", {1}, false, false}}, true);
  TrainingConfig config = schedule_of(Schedule::kConstant);
  config.weight_decay = 0.5F;
  for (const char* name : {"dense", "bias"}) parameters.at(name).value.data<float>()[0] = 1;
  Optimiser(config, groups, parameters).update(1, 0);
  EXPECT_LT(parameters.at("dense").value.data<float>()[0], 1);
  EXPECT_EQ(parameters.at("bias").value.data<float>()[0], 1);
}

TEST(Optimiser, OfMatricesAloneVectorsDoNotDecay) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const RankGroups groups(*alone, 0, kDefaultDeadline);
  TrainingConfig config = schedule_of(Schedule::kConstant);
  config.weight_decay = 0.5F;
  for (const Decay decay : {Decay::kAll, Decay::kMatrices}) {
    Parameters parameters(std::vector<ParameterSpec>{{"norm", {1}}, {"matrix", {1, 1}}, {"expert", {1, 1}, true}},
                          true);
    for (const Parameter& parameter : parameters.all()) parameter.value.data<float>()[0] = 1;
    config.decay = decay;
    Optimiser(config, groups, parameters).update(4, 0);
    const float decayed = 1 - 0.01F * 0.5F;
    EXPECT_FLOAT_EQ(parameters.at("norm").value.data<float>()[0], decay == Decay::kAll ? decayed : 1);
    EXPECT_FLOAT_EQ(parameters.at("matrix").value.data<float>()[0], decayed);
    EXPECT_FLOAT_EQ(parameters.at("expert").value.data<float>()[0], decayed);
  }
}

TEST(Optimiser, WithoutClippingGradientsAreTakenAsTheyAre) { expect_updates(0, 1); }

TEST(Optimiser, ALargeGradientIsScaledDownToTheLimit) { expect_updates(1, 1 / (5 + 1e-6)); }

TEST(Optimiser, AGradientWithinTheLimitIsNotScaled) { expect_updates(6, 1); }

}  // namespace
}  // namespace coe
