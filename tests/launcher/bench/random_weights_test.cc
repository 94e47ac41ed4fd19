#include "launcher/bench/random_weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ranks.h"

namespace coe {
namespace {

TEST(RandomWeightsOnRanks, GatesAreTheSameAndRowsKeepTheirSize) {
  on_ranks(2, [](Transport& world) {
    LayerConfig layer;
    layer.hidden = 64;
    layer.expert_hidden = 32;
    layer.experts = 4;
    layer.top_k = 2;
    RandomWeights weights(layer, {2 * world.rank(), 2}, {&world});
    const ChainWeights views = weights.views();
    ASSERT_EQ(views.experts.size(), 2U);
    const Tensor gate = views.gates[0].weight.value;
    std::vector<float> both(2 * static_cast<std::size_t>(gate.elements()));
    all_gather<float>({&world}, gate.span<float>(), both, {"test"});
    EXPECT_TRUE(std::equal(both.begin(), both.begin() + gate.elements(), both.begin() + gate.elements()));
    double squares = 0;
    for (const float value : views.experts[0].gate_up.span<float>()) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(squares / static_cast<double>(views.experts[0].gate_up.extent(0)), 1, 0.1);
  });
}

}  // namespace
}  // namespace coe
