#include "runtime/training/non_finite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/model/model_parameters.h"
#include "tests/ranks.h"

namespace coe {
namespace {

using ::testing::StartsWith;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

Config tiny_config() {
  Config config;
  config.model.hidden = 16;
  config.model.layers = 2;
  config.model.heads = 2;
  config.model.sequence = 16;
  config.model.layer.expert_hidden = 8;
  config.model.layer.experts = 6;
  config.model.layer.top_k = 2;
  config.model.layer.iterations = 2;
  config.training.steps = 4;
  config.training.batch = 6;
  config.training.micro_batch = 3;
  config.validation.sequences = 3;
  return config;
}

/// A rank of a model whose weights a test spoils.
struct Spoilt {
  Spoilt(const Config& config, Transport& world)
      : groups(world, 0, kDefaultDeadline), model(config.model, groups, {}), length(config.model.sequence) {
    initialise(model.config(), 1, model.parameters());
    batch = deal_batch(3, length, groups);
  }
  void set(const std::string& name, std::int64_t at, float value) {
    if (model.parameters().contains(name)) model.parameters().at(name).value.data<float>()[at] = value;
  }
  /// What all ranks say of the activations for ids 0, 1, 2, ... of every sequence.
  std::string activations() {
    const Tensor hidden = model.activations(ids(), batch, {}, arena);
    return first_of_all(groups.world(),
                        non_finite_activation(model, hidden, batch.first_sequence * length, groups.world()));
  }
  double loss() {
    const Tensor tokens = ids();
    double sum = model.loss(tokens, tokens, batch, arena);
    all_reduce_sum<double>(groups.world(), {&sum, 1}, {"loss"});
    return sum;
  }
  Tensor ids() {
    arena.reset();
    const Tensor tokens = arena.make<std::int32_t>({batch.tokens()});
    const auto numbers = tokens.span<std::int32_t>();
    std::iota(numbers.begin(), numbers.end(), static_cast<std::int32_t>(batch.first_sequence * length));
    return tokens;
  }

  RankGroups groups;
  Model model;
  std::int64_t length;
  Batch batch;
  Arena arena;
};

struct Case {
  std::string weight;
  std::int64_t at = 0;
  float value = kNan;
  std::string found;  ///< but for the rank
};

/// Token 20's row of the embedding is that of id 20, and no other token's: it is in sequence 1 of 3.
const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"model.embed_tokens.weight", 20 * 16 + 3, kNan, "layer 0: input is not finite (rank R, first at token 20)"},
      {"model.layers.0.input_layernorm.weight", 5, kInfinity, "layer 0: normed input of attention is not finite"},
      {"model.layers.1.self_attn.v_proj.weight", 7, kNan, "layer 1: value is not finite"},
      {"model.layers.1.self_attn.o_proj.weight", 7, kNan, "layer 1: attention output is not finite"},
      {"model.layers.0.mlp.norm.1.weight", 2, kNan, "layer 0, iteration 1: normed input is not finite"},
      {"model.layers.1.mlp.gate.1.weight", 11, kInfinity, "layer 1, iteration 1: gate logits is not finite"},
      {"model.layers.1.mlp.experts.4.up_proj.weight", 3, kNan,
       "layer 1, iteration 0: gate_proj and up_proj of an expert is not finite"},
      {"model.layers.0.mlp.experts.2.down_proj.weight", 3, kNan, "layer 0, iteration 0: expert output is not finite"}};
  return kCases;
}

/// One rank's sequence holds the token: of three ranks the second, of one rank the only.
int rank_of_token_20(int ranks) { return ranks == 3 ? 1 : 0; }

TEST(NonFiniteOnRanks, NamesTheFirstActivationAlikeOnEveryRank) {
  for (const int ranks : {1, 3}) {
    on_ranks(ranks, [&](Transport& world) {
      for (const Case& one : cases()) {
        Spoilt spoilt(tiny_config(), world);
        EXPECT_EQ(spoilt.activations(), "");
        EXPECT_TRUE(std::isfinite(spoilt.loss()));
        spoilt.set(one.weight, one.at, one.value);
        std::string expected = one.found;
        if (const auto rank = expected.find("rank R"); rank != std::string::npos)
          expected.replace(rank, 6, "rank " + std::to_string(rank_of_token_20(ranks)));
        EXPECT_THAT(spoilt.activations(), StartsWith(expected)) << one.weight;
        EXPECT_FALSE(std::isfinite(spoilt.loss())) << one.weight;
        EXPECT_THAT(
            first_of_all(spoilt.groups.world(), non_finite_weight(spoilt.model.config(), spoilt.model.parameters())),
            StartsWith("weight " + one.weight + " is not finite (rank "));
      }
    });
  }
}

TEST(NonFiniteOnRanks, GradientsAreNamedFromTheHeadDown) {
  on_ranks(3, [&](Transport& world) {
    Spoilt spoilt(tiny_config(), world);
    Parameters& parameters = spoilt.model.parameters();
    EXPECT_EQ(
        first_of_all(spoilt.groups.world(), non_finite_gradient(spoilt.model.config(), spoilt.model.parameters())), "");
    if (world.rank() == 2) parameters.at("model.layers.0.self_attn.q_proj.weight").gradient.data<float>()[1] = kNan;
    if (world.rank() != 0) parameters.at("model.layers.1.mlp.gate.0.weight").gradient.data<float>()[1] = kInfinity;
    EXPECT_EQ(
        first_of_all(spoilt.groups.world(), non_finite_gradient(spoilt.model.config(), spoilt.model.parameters())),
        "gradient of model.layers.1.mlp.gate.0.weight is not finite (rank 1)");
  });
}

TEST(NonFiniteOnRanks, OfSeveralRanksTheFirstPlaceCountsAndThenTheLowestRank) {
  on_ranks(4, [&](Transport& world) {
    const std::array<NonFinite, 4> found{NonFinite{7, "late", 3}, NonFinite{5, "early", 40}, NonFinite{5, "early", 60},
                                         NonFinite{6, "between", -1}};
    EXPECT_EQ(first_of_all({&world}, found[static_cast<std::size_t>(world.rank())]),
              "early is not finite (rank 1, first at token 40)");
    EXPECT_EQ(first_of_all({&world}, std::nullopt), "");
  });
}

}  // namespace
}  // namespace coe
