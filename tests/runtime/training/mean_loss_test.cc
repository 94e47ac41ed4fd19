#include "runtime/training/mean_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ranks.h"
#include "tests/runtime/data/counting_source.h"

namespace coe {
namespace {

TEST(MeanLossOnRanks, AModelThatKnowsNothingLosesTheLogarithmOfItsVocabulary) {
  for_each_ranks([](Transport& world) {
    const RankGroups groups(world, 0, kDefaultDeadline);
    ModelConfig config;
    config.hidden = 8;
    config.layers = 1;
    config.heads = 2;
    config.sequence = 4;
    config.layer.expert_hidden = 4;
    config.layer.experts = 4;
    config.layer.top_k = 1;
    Model model(config, groups, {.trained = false});  // all weights are 0, and so are all logits
    Arena arena;
    EXPECT_NEAR(mean_loss(model, groups, CountingSource(), 100, 2, arena), std::log(256.0), 1e-5);
  });
}

}  // namespace
}  // namespace coe
