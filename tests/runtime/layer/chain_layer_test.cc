#include "runtime/layer/chain_layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>

#include "tests/ranks.h"
#include "tests/runtime/layer/chain_cases.h"

namespace coe {
namespace {

/// Weights of the whole layer by name, as every rank draws them.
std::map<std::string, Doubles> drawn_weights(const LayerConfig& layer) {
  Parameters parameters(chain_specs(layer, "", {0, layer.experts}), false);
  std::map<std::string, Doubles> weights;
  for (const Parameter& parameter : parameters.all()) {
    draw(parameter);
    weights[parameter.name] = doubles_of(parameter.value);
  }
  return weights;
}

/// What the slow way says of a case: tensors by name.
struct Expected {
  Doubles y = {}, dx = {};
  double balance = 0;
  std::map<std::string, Doubles> gradients = {};
};

/// `parts` of the tokens have capacities of their own.
Expected expected_of(const ChainCase& chain, const std::vector<Share>& parts = {}) {
  const SlowChain slow{.config = chain.layer,
                       .length = static_cast<std::size_t>(chain.length),
                       .l1_coeff = chain.l1_coeff,
                       .random = chain.random,
                       .parts = parts,
                       .weights = drawn_weights(chain.layer)};
  const Doubles x = widened(chain.x), dy = widened(chain.dy);
  Expected expected;
  expected.y = slow.forward(x, expected.balance);
  expected.dx = slow.gradient_of_input(x, dy);
  for (const auto& [name, value] : slow.weights) expected.gradients[name] = slow.gradient_of(name, x, dy);
  return expected;
}

void expect_agreement(const ChainCase& chain, const ChainResult& result, const Expected& expected) {
  expect_near(result.y, expected.y, "y");
  expect_near(result.dx, expected.dx, "dx");
  EXPECT_NEAR(result.balance, expected.balance, kTolerance);
  std::size_t expert_offset = 0, replicated_offset = 0;
  for (const ParameterSpec& spec : chain_specs(chain.layer, "", {0, chain.layer.experts})) {
    if (!spec.trained) continue;
    std::size_t& offset = spec.expert ? expert_offset : replicated_offset;
    const std::vector<float>& flat = spec.expert ? result.expert_gradients : result.replicated_gradients;
    const Share part{static_cast<std::int64_t>(offset), spec.shape.elements()};
    expect_near(part_of(flat, part), expected.gradients.at(spec.name), spec.name);
    offset += static_cast<std::size_t>(spec.shape.elements());
  }
}

// A plain top-k MoE layer, written out: y = x + sum over the two likeliest experts of p_i E_i(x).
Doubles plain_moe(const std::map<std::string, Doubles>& weights, const Doubles& x, std::size_t hidden) {
  Doubles y = x;
  for (std::size_t t = 0; t < x.size() / hidden; ++t) {
    const Doubles row = slow_row(x, hidden, t);
    const Doubles p = slow_softmax(slow_product(weights.at("gate.0.weight"), row));
    for (const std::size_t i : slow_topk(p, 2)) {
      const std::string expert = "experts." + std::to_string(i) + ".";
      const Doubles out = slow_swiglu(weights.at(expert + "gate_proj.weight"), weights.at(expert + "up_proj.weight"),
                                      weights.at(expert + "down_proj.weight"), row);
      for (std::size_t d = 0; d < hidden; ++d) y[t * hidden + d] += p[i] * out[d];
    }
  }
  return y;
}

// A dense feed-forward layer: y = x + E(x).
Doubles dense(const std::map<std::string, Doubles>& weights, const Doubles& x, std::size_t hidden) {
  Doubles y = x;
  for (std::size_t t = 0; t < x.size() / hidden; ++t) {
    const Doubles out = slow_swiglu(weights.at("experts.0.gate_proj.weight"), weights.at("experts.0.up_proj.weight"),
                                    weights.at("experts.0.down_proj.weight"), slow_row(x, hidden, t));
    for (std::size_t d = 0; d < hidden; ++d) y[t * hidden + d] += out[d];
  }
  return y;
}

/// Output by `layer`, gradients by its central differences.
template <class Layer>
Expected expected_of(const ChainCase& chain, const Layer& layer) {
  const auto hidden = static_cast<std::size_t>(chain.layer.hidden);
  const auto weights = drawn_weights(chain.layer);
  const Doubles x = widened(chain.x), dy = widened(chain.dy);
  Expected expected{.y = layer(weights, x, hidden)};
  expected.dx = slow_gradient([&](const Doubles& moved) { return slow_dot(dy, layer(weights, moved, hidden)); }, x);
  for (const auto& weight : weights) {
    auto varied = weights;
    const auto loss = [&](const Doubles& moved) {
      varied[weight.first] = moved;
      return slow_dot(dy, layer(varied, x, hidden));
    };
    expected.gradients[weight.first] = slow_gradient(loss, weight.second);
  }
  return expected;
}

TEST(ChainLayerOnRanks, OneIterationIsAPlainMixtureOfExperts) {
  const LayerConfig moe{.hidden = 4, .expert_hidden = 3, .experts = 5, .top_k = 2};
  const ChainCase chain = random_chain_case(moe, 5, 3);
  const Expected expected = expected_of(chain, plain_moe);
  for_each_ranks([&](Transport& world) { expect_agreement(chain, ChainRun(chain, world).run(), expected); });
}

TEST(ChainLayerOnRanks, OneExpertIsADenseLayer) {
  const LayerConfig one{.hidden = 4, .expert_hidden = 6, .experts = 1, .top_k = 1};
  const ChainCase chain = random_chain_case(one, 5, 3);
  const Expected expected = expected_of(chain, dense);
  for_each_ranks([&](Transport& world) { expect_agreement(chain, ChainRun(chain, world).run(), expected); });
}

TEST(ChainLayerOnRanks, EveryKindAgreesWithTheSlowWayForwardAndBackward) {
  for (const NamedLayer& named : layers_of(4, 3, 5)) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 3);
    const Expected expected = expected_of(chain);
    for_each_ranks([&](Transport& world) { expect_agreement(chain, ChainRun(chain, world).run(), expected); });
  }
}

TEST(ChainLayerOnRanks, RanksBeyondTheExpertsTakePart) {
  const ChainCase chain = random_chain_case(layers_of(24, 16, 3).front().layer, 5, 7);
  const ChainResult reference = result_of_one_rank(chain);
  on_ranks(7, [&](Transport& world) { expect_same_bits(ChainRun(chain, world).run(), reference); });
}

TEST(ChainLayerOnRanks, TwoExpertGroupsOfTwoAgreeWithOneRank) {
  for (const NamedLayer& named : layers_of(8, 6, 5)) {
    if (named.layer.drop_policy != DropPolicy::kNone) continue;  // capacity counts the tokens of one group
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 7, 3);
    const ChainResult reference = result_of_one_rank(chain);
    for (const int chunks : {1, 2}) {
      on_ranks(4,
               [&](Transport& world) { expect_near(ChainRun(chain, world, 2, {.chunks = chunks}).run(), reference); });
    }
  }
}

TEST(ChainLayerOnRanks, WithCapacityOfRankScopeEveryRankCountsItsOwnTokens) {
  for (const bool padded : {false, true}) {
    LayerConfig layer = layers_of(4, 3, 5).front().layer;
    layer.drop_policy = DropPolicy::kProbability;
    layer.capacity_factor = 0.75;
    layer.capacity_scope = CapacityScope::kRank;
    layer.reroute_rounds = 1;
    layer.balance_loss = BalanceLoss::kBatch;
    layer.balance_loss_coeff = 0.5F;
    layer.pad_to_capacity = padded;
    const ChainCase chain = random_chain_case(layer, 5, 3);
    for_each_ranks([&](Transport& world) {
      std::vector<Share> tokens = uneven_shares(5, world.size());
      for (Share& share : tokens) share = {3 * share.first, 3 * share.count};
      expect_agreement(chain, ChainRun(chain, world).run(), expected_of(chain, tokens));
    });
  }
}

TEST(ChainLayerOnRanks, RandomNumbersBelongToTokensAndSteps) {
  LayerConfig layer = layers_of(8, 6, 5).front().layer;
  layer.router_noise = true;
  layer.router_jitter = 0.5F;
  ChainCase chain = random_chain_case(layer, 4, 3), later = chain, half = chain;
  later.random->step += 1;
  // The second half of the sequences as a micro-batch of its own.
  half.sequences = 2;
  half.random->first_sequence = 2;
  const auto second_half = [&](const std::vector<float>& all) {
    return part_of(all, {std::ssize(all) / 2, std::ssize(all) / 2});
  };
  half.x = second_half(chain.x);
  const ChainResult whole = result_of_one_rank(chain);
  EXPECT_NE(result_of_one_rank(later).y, whole.y);
  expect_near(result_of_one_rank(half).y, widened(second_half(whole.y)), "the second half");
}

TEST(ChainLayerOnRanks, TheBiasMovesTowardsAnEvenLoad) {
  LayerConfig layer = layers_of(4, 3, 5).front().layer;
  layer.router_bias = true;
  on_ranks(1, [&](Transport& world) {
    ChainRun run(random_chain_case(layer, 2, 3), world);
    for (const char* name : {"router_bias.0", "router_bias.1"}) {
      std::ranges::fill(run.parameters().at(name).value.span<float>(), 0.0F);
    }
    run.layer().update_router_bias(1, 0.25F, std::vector<std::int64_t>{4, 2, 1, 2, 1});
    EXPECT_EQ(values_of<float>(run.parameters().at("router_bias.0").value), std::vector<float>(5, 0));
    EXPECT_EQ(values_of<float>(run.parameters().at("router_bias.1").value),
              (std::vector<float>{-0.25F, 0, 0.25F, 0, 0.25F}));
  });
}

TEST(ChainLayerOnRanks, NobodyNeedsToHaveTokens) {
  for (const NamedLayer& named : layers_of(4, 3, 5)) {
    SCOPED_TRACE(named.name);
    const ChainCase nothing = random_chain_case(named.layer, 0, 3);
    for_each_ranks([&](Transport& world) {
      const ChainResult result = ChainRun(nothing, world).run();
      EXPECT_TRUE(result.y.empty());
      EXPECT_EQ(result.balance, 0.0);
      EXPECT_EQ(result.expert_gradients, std::vector<float>(result.expert_gradients.size(), 0.0F));
    });
  }
}

TEST(ChainLayerOnRanks, AReluLayerMayBeIdle) {
  LayerConfig layer{.hidden = 2, .expert_hidden = 3, .experts = 3, .top_k = 1, .iterations = 2};
  layer.router = RouterKind::kRelu;
  const ChainCase chain = random_chain_case(layer, 3, 2);
  for_each_ranks([&](Transport& world) {
    ChainRun run(chain, world);
    for (const char* gate : {"gate.0.weight", "gate.1.weight"}) {
      std::ranges::fill(run.parameters().at(gate).value.span<float>(), 0.0F);
    }
    const ChainResult result = run.run();
    EXPECT_EQ(result.y, chain.x);
    EXPECT_EQ(result.dx, chain.dy);
    EXPECT_EQ(result.counters[0].load, std::vector<std::int64_t>(3, 0));
  });
}

TEST(ChainLayerOnRanks, TheGradientMayTakeThePlaceOfTheUpstreamOne) {
  for (const Residual residual : {Residual::kInner, Residual::kOuter, Residual::kNone}) {
    LayerConfig layer = layers_of(8, 6, 5).front().layer;
    layer.residual = residual;
    const ChainCase chain = random_chain_case(layer, 5, 3);
    const ChainResult reference = result_of_one_rank(chain);
    for_each_ranks([&](Transport& world) {
      ChainRun run(chain, world);
      ChainSaved saved;
      run.forward(&saved);
      run.layer().backward(run.dy(), saved, run.dy(), run.arena());
      EXPECT_EQ(gather_floats({&world}, run.dy().span<float>()), reference.dx);
    });
  }
}

TEST(ChainLayerOnRanks, CountersSayWhatPassedThrough) {
  LayerConfig layer = layers_of(8, 6, 5).front().layer;
  layer.drop_policy = DropPolicy::kProbability;
  layer.capacity_factor = 0.5;
  const ChainCase chain = random_chain_case(layer, 5, 3);
  for_each_ranks([&](Transport& world) {
    ChainRun run(chain, world);
    const ChainResult result = run.run();
    for (const IterationCounters& counters : result.counters) {
      EXPECT_EQ(std::accumulate(counters.load.begin(), counters.load.end(), std::int64_t{0}), 30);
      std::int64_t too_many = 0;  // capacity is ceil(15 * 2 * 0.5 / 5) = 3
      for (const std::int64_t load : counters.load) too_many += std::max<std::int64_t>(0, load - 3);
      EXPECT_EQ(counters.dropped, too_many);
    }
    run.layer().clear_counters();
    EXPECT_EQ(run.layer().counters()[1].load, std::vector<std::int64_t>(5, 0));
    EXPECT_EQ(run.layer().counters()[1].dropped, 0);
    EXPECT_EQ(run.layer().counters()[1].bytes_sent, 0);
  });
}

TEST(ChainLayerOnRanks, OnlyBytesToOtherRanksAreCounted) {
  const LayerConfig layer{.hidden = 6, .expert_hidden = 4, .experts = 2, .top_k = 2};
  const ChainCase chain = random_chain_case(layer, 2, 5);
  EXPECT_EQ(result_of_one_rank(chain).counters[0].bytes_sent, 0);
  on_ranks(2, [&](Transport& world) {
    // All 10 tokens are on rank 0 and visit expert 1 on rank 1: rows of 6 there and back, then gradients with a weight.
    const ChainResult result = ChainRun(chain, world).run();
    EXPECT_EQ(result.counters[0].bytes_sent, 2 * 10 * 6 * 4 + 2 * 10 * 7 * 4);
  });
}

}  // namespace
}  // namespace coe
