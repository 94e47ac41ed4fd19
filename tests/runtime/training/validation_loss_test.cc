#include "runtime/training/validation_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/bad_input.h"
#include "tests/ranks.h"
#include "tests/runtime/data/counting_source.h"

namespace coe {
namespace {

/// The mean loss of a model whose weights are all 0, and so are all logits.
double ignorant_loss(Transport& world, const TokenSource& source) {
  const RankGroups groups(world, 0, kDefaultDeadline);
  ModelConfig config;
  config.hidden = 8;
  config.layers = 1;
  config.heads = 2;
  config.sequence = 4;
  config.layer.expert_hidden = 4;
  config.layer.experts = 4;
  config.layer.top_k = 1;
  Model model(config, groups, {.trained = false});
  Arena arena;
  return validation_loss(model, groups, source, 100, 2, arena);
}

TEST(ValidationLossOnRanks, AModelThatKnowsNothingLosesTheLogarithmOfItsVocabulary) {
  for_each_ranks([](Transport& world) {
    EXPECT_NEAR(ignorant_loss(world, CountingSource()), std::log(256.0), 1e-5);
    const MarkedSource source({0, 0, kBegins, kUncounted, 0});
    EXPECT_NEAR(ignorant_loss(world, source), std::log(256.0), 1e-5) << "mean over the labels that count";
  });
}

TEST(ValidationLossOnRanks, AMeanOverNoLabelsIsRefusedOnEveryRank) {
  const MarkedSource source({0, kUncounted, kUncounted, kUncounted, kUncounted});
  for_each_ranks([&](Transport& world) {
    EXPECT_EQ(bad_input([&] { ignorant_loss(world, source); }),
              "validation: none of its 5 sequences has a label that counts (data.loss_fields)");
  });
}

}  // namespace
}  // namespace coe
