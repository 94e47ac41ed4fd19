#include "runtime/layer/copied_weights.h"

#include <algorithm>

#include "comm/make_transport.h"
#include "runtime/model/model_parameters.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

LayerConfig small_layer() {
  return {.hidden = 10,
          .expert_hidden = 6,
          .experts = 5,
          .top_k = 2,
          .iterations = 3,
          .iteration_norm = true,
          .shared_experts = 2,
          .router_noise = true,
          .router_bias = true};
}

/// Weights of a rank that holds experts 1 and 2 of five, drawn.
struct HostWeights {
  explicit HostWeights(const LayerConfig& config)
      : parameters(chain_specs(config, "", {1, 2}), true), views(chain_weights(config, "", {1, 2}, parameters)) {
    unsigned seed = 0;
    for (const Parameter& parameter : parameters.all()) {
      std::ranges::copy(normal(parameter.value.elements(), ++seed), parameter.value.data<float>());
    }
  }

  Parameters parameters;
  ChainWeights views;
};

class CopiedWeightsCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  void expect_same(const Tensor& there, const Tensor& host, DType dtype) {
    const std::span<const float> values = host.span<float>();
    const Floats wanted = rounded(Floats(host.shape(), {values.begin(), values.end()}), dtype);
    EXPECT_EQ(there.dtype(), dtype);
    EXPECT_EQ(get<float>(there).values(), wanted.values());
  }
};

TEST_P(CopiedWeightsCuda, HoldTheHostsNumbers) {
  const LayerConfig config = small_layer();
  const HostWeights host(config);
  const auto world = make_transport("local");
  const CopiedWeights copied(config, host.views, GetParam(), {world.get()}, stream_);
  const ChainWeights& there = copied.views();
  for (int t = 0; t < 3; ++t) {
    const auto index = static_cast<std::size_t>(t);
    expect_same(there.gates[index].weight.value, host.views.gates[index].weight.value, GetParam());
    expect_same(there.gates[index].noise.value, host.views.gates[index].noise.value, GetParam());
    expect_same(there.gates[index].bias, host.views.gates[index].bias, DType::kF32);
    expect_same(there.norms[index].value, host.views.norms[index].value, DType::kF32);
  }
  ASSERT_EQ(there.experts.size(), 2U);
  for (std::size_t e = 0; e < 2; ++e) {
    expect_same(there.experts[e].gate_up, host.views.experts[e].gate_up, GetParam());
    expect_same(there.experts[e].down, host.views.experts[e].down, GetParam());
  }
  ASSERT_TRUE(there.shared.has_value());
  expect_same(there.shared->gate_up, host.views.shared->gate_up, GetParam());
  expect_same(there.shared->down, host.views.shared->down, GetParam());
}

TEST_P(CopiedWeightsCuda, GradientsBeginAtZeroAndComeBack) {
  const LayerConfig config = small_layer();
  HostWeights host(config);
  const auto world = make_transport("local");
  const CopiedWeights copied(config, host.views, GetParam(), {world.get()}, stream_);
  const ChainWeights& there = copied.views();
  const auto all = [&] {
    std::vector<float> gradients;
    for (const Parameter& parameter : host.parameters.all()) {
      const auto values = parameter.gradient.span<float>();
      gradients.insert(gradients.end(), values.begin(), values.end());
    }
    return gradients;
  };
  for (const Parameter& parameter : host.parameters.all()) fill(parameter.gradient, 9, {});
  copied.read_gradients(host.views, stream_);
  wait();
  EXPECT_TRUE(std::ranges::all_of(all(), [](float value) { return value == 0; }));

  fill(there.gates[1].weight.gradient, 1, stream_);
  fill(there.gates[1].noise.gradient, 5, stream_);
  fill(there.norms[2].gradient, 2, stream_);
  fill(there.experts[1].gate_up_gradient, 3, stream_);
  fill(there.shared->down_gradient, 4, stream_);
  copied.read_gradients(host.views, stream_);
  wait();
  const auto is = [](const Tensor& gradient, float value) {
    return std::ranges::all_of(gradient.span<float>(), [&](float found) { return found == value; });
  };
  EXPECT_TRUE(is(host.views.gates[1].weight.gradient, 1) && is(host.views.gates[0].weight.gradient, 0));
  EXPECT_TRUE(is(host.views.gates[1].noise.gradient, 5) && is(host.views.gates[2].noise.gradient, 0));
  EXPECT_TRUE(is(host.views.norms[2].gradient, 2) && is(host.views.norms[1].gradient, 0));
  EXPECT_TRUE(is(host.views.experts[1].gate_up_gradient, 3) && is(host.views.experts[0].gate_up_gradient, 0));
  EXPECT_TRUE(is(host.views.shared->down_gradient, 4) && is(host.views.shared->gate_up_gradient, 0));
}

TEST_P(CopiedWeightsCuda, IterationsThatShareAGateShareItsGradient) {
  LayerConfig config = small_layer();
  config.gate = GateSharing::kShared;
  const HostWeights host(config);
  const auto world = make_transport("local");
  const CopiedWeights copied(config, host.views, GetParam(), {world.get()}, stream_);
  const ChainWeights& there = copied.views();
  EXPECT_EQ(there.gates[0].weight.value.raw(), there.gates[2].weight.value.raw());
  EXPECT_EQ(there.gates[0].weight.gradient.raw(), there.gates[2].weight.gradient.raw());
  EXPECT_EQ(there.gates[0].noise.gradient.raw(), there.gates[2].noise.gradient.raw());
  EXPECT_NE(there.gates[0].bias.raw(), there.gates[2].bias.raw());
}

INSTANTIATE_TEST_SUITE_P(Both, CopiedWeightsCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
