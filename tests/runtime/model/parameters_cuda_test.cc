#include <algorithm>

#include "runtime/model/model_parameters.h"
#include "runtime/model/parameters.h"
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

std::vector<ParameterSpec> specs(ExpertOrder order) { return chain_specs(small_layer(), "", {1, 2}, order); }

/// Weights of a rank that holds experts 1 and 2 of five, drawn, with moments and gradients.
Parameters drawn() {
  Parameters parameters(specs(ExpertOrder::kByExpert), true);
  unsigned seed = 0;
  for (const Parameter& parameter : parameters.all()) {
    for (const Tensor& x : {parameter.value, parameter.gradient, parameter.first_moment, parameter.second_moment}) {
      if (x.elements() > 0) std::ranges::copy(normal(x.elements(), ++seed), x.data<float>());
    }
  }
  return parameters;
}

/// Routers are fp32 whatever products of other matrices read.
bool is_rounded(const Parameter& parameter) {
  const bool router = parameter.name.starts_with("gate.") || parameter.name.starts_with("noise.");
  return parameter.value.shape().rank() == 2 && !router;
}

class ParametersCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  Parameters make() { return Parameters(specs(ExpertOrder::kByMatrix), true, stream_, GetParam()); }
  void expect_same(const Tensor& there, const Tensor& host, DType dtype) {
    const std::span<const float> values = host.span<float>();
    EXPECT_EQ(there.dtype(), dtype);
    EXPECT_EQ(get<float>(there).values(),
              rounded(Floats(host.shape(), {values.begin(), values.end()}), dtype).values());
  }
};

TEST_P(ParametersCuda, TakeOverValuesAndMomentsAndRoundAllMatricesButRouters) {
  const Parameters host = drawn();
  Parameters there = make();
  there.copy_from(host);
  for (const Parameter& parameter : there.all()) {
    const Parameter& wanted = host.at(parameter.name);
    expect_same(parameter.value, wanted.value, DType::kF32);
    expect_same(parameter.working, wanted.value, is_rounded(parameter) ? GetParam() : DType::kF32);
    if (wanted.gradient.elements() == 0) continue;
    expect_same(parameter.first_moment, wanted.first_moment, DType::kF32);
    expect_same(parameter.second_moment, wanted.second_moment, DType::kF32);
    const Floats gradient = get<float>(parameter.gradient);
    EXPECT_TRUE(std::ranges::all_of(gradient.values(), [](float value) { return value == 0; }));
  }
}

TEST_P(ParametersCuda, ComeBackToTheHost) {
  const Parameters host = drawn();
  Parameters there = make();
  there.copy_from(host);
  there.copy_gradients_from(host);
  Parameters back(specs(ExpertOrder::kByExpert), true);
  back.copy_from(there);
  back.copy_gradients_from(there);
  wait();
  for (const Parameter& parameter : back.all()) {
    for (Tensor Parameter::*member :
         {&Parameter::value, &Parameter::gradient, &Parameter::first_moment, &Parameter::second_moment}) {
      const Tensor &got = parameter.*member, &wanted = host.at(parameter.name).*member;
      ASSERT_EQ(got.elements(), wanted.elements());
      if (got.elements() > 0) EXPECT_TRUE(std::ranges::equal(got.span<float>(), wanted.span<float>()));
    }
  }
}

TEST_P(ParametersCuda, ExpertsOfALayerLieBehindOneAnotherAsGroupedProductsReadThem) {
  Parameters there = make();
  const ChainWeights weights = chain_weights(small_layer(), "", {1, 2}, there);
  ASSERT_EQ(weights.experts.size(), 2U);
  EXPECT_EQ(weights.experts[1].gate_up.raw(), weights.experts[0].gate_up.raw() + weights.experts[0].gate_up.bytes());
  EXPECT_EQ(weights.experts[1].down.raw(), weights.experts[0].down.raw() + weights.experts[0].down.bytes());
  EXPECT_EQ(weights.experts[0].gate_up.dtype(), GetParam());
  EXPECT_EQ(weights.norms[0].value.dtype(), DType::kF32);
  EXPECT_EQ(weights.gates[0].weight.value.dtype(), DType::kF32);
  EXPECT_EQ(weights.gates[0].weight.value.raw(), there.at("gate.0.weight").value.raw());
  EXPECT_EQ(weights.gates[0].noise.value.raw(), there.at("noise.0.weight").value.raw());
}

// Two ranks hold the routers, norms and shared experts, of which this is the second; nobody else has its experts.
TEST_P(ParametersCuda, InPiecesTheyGoToTheDeviceAndComeBackInTheSameOnes) {
  const WeightSharing sharing{{2, 1}, {1, 0}, true};
  const Parameters whole = drawn();
  Parameters host(specs(ExpertOrder::kByMatrix), true, host_stream(), DType::kF32, sharing);
  for (const Parameter& parameter : host.all())
    std::ranges::copy(whole.at(parameter.name).value.span<float>(), parameter.value.data<float>());
  const FlatParameters& flat = host.replicated();
  for (const Tensor& moment : {flat.first_moment, flat.second_moment})
    std::ranges::copy(normal(moment.elements(), 77), moment.data<float>());
  Parameters there(specs(ExpertOrder::kByMatrix), true, stream_, GetParam(), sharing);
  there.copy_from(host);
  for (const Parameter& parameter : there.all()) {
    const Tensor& value = whole.at(parameter.name).value;
    const bool rounds = is_rounded(whole.at(parameter.name));
    expect_same(parameter.working, value, rounds ? GetParam() : DType::kF32);
    if (!parameter.expert && rounds && GetParam() == DType::kBF16) EXPECT_EQ(parameter.value.raw(), nullptr);
  }
  Parameters back(specs(ExpertOrder::kByMatrix), true, host_stream(), DType::kF32, sharing);
  back.copy_from(there);
  wait();
  const auto same = [&](Tensor FlatParameters::*all, std::int64_t stretch) {
    const FlatParameters& got = back.replicated();
    return std::ranges::equal(got.piece(got.*all, stretch).span<float>(), flat.piece(flat.*all, stretch).span<float>());
  };
  for (std::int64_t i = 0; i < flat.deal.stretches(); ++i) {
    EXPECT_TRUE(same(&FlatParameters::value, i));
    EXPECT_TRUE(same(&FlatParameters::first_moment, i));
    EXPECT_TRUE(same(&FlatParameters::second_moment, i));
  }
}

INSTANTIATE_TEST_SUITE_P(Both, ParametersCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
