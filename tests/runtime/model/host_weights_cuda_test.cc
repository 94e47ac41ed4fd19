#include "runtime/model/host_weights.h"

#include <algorithm>

#include "comm/make_transport.h"
#include "runtime/model/model_parameters.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/training/two_layer_config.h"

namespace coe {
namespace {

using HostWeightsCuda = OnCuda;

TEST(HostWeights, AreTheModelsOwnOnTheHost) {
  const auto world = make_transport("local");
  const RankGroups groups(*world, 0, kDefaultDeadline);
  Model model(two_layer_config(16, 8).model, groups, {});
  HostWeights weights(model, groups.world());
  EXPECT_EQ(&weights.memory(), &model.parameters());
  EXPECT_EQ(&weights.read(), &model.parameters());
  EXPECT_EQ(&weights.read_gradients(), &model.parameters());
}

TEST_F(HostWeightsCuda, GoToTheDeviceAndComeBack) {
  const auto world = make_transport("local");
  const RankGroups groups(*world, 0, kDefaultDeadline);
  const ModelConfig config = two_layer_config(16, 8).model;
  Model model(config, groups, {.tokens = 16, .stream = &stream_, .dtype = DType::kBF16});
  HostWeights weights(model, groups.world());
  initialise(model.config(), 3, weights.memory());
  weights.write();
  const auto values = [&] {
    std::vector<float> all;
    for (const Parameter& parameter : weights.memory().all())
      std::ranges::copy(parameter.value.span<float>(), std::back_inserter(all));
    return all;
  };
  const std::vector<float> drawn = values();
  for (const Parameter& parameter : weights.memory().all()) fill(parameter.value, 7, host_stream());
  weights.read();
  EXPECT_EQ(values(), drawn);
  Parameter& head = model.parameters().at("lm_head.weight");
  fill(head.gradient, 5, stream_);
  EXPECT_EQ(weights.read_gradients().at("lm_head.weight").gradient.data<float>()[0], 5);
}

}  // namespace
}  // namespace coe
