#include "runtime/model/model_parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

using ::testing::ElementsAre;

ModelConfig model_of(ResidualStream stream) {
  ModelConfig config;
  config.vocab = 11;
  config.hidden = 8;
  config.layers = config.heads = 2;
  config.residual_stream = stream;
  config.layer = {.hidden = 8, .expert_hidden = 3, .experts = 7, .top_k = 2, .iterations = 2};
  config.layer.iteration_norm = stream == ResidualStream::kPrenorm;
  return config;
}

std::vector<std::string> names_of(const std::vector<ParameterSpec>& specs) {
  std::vector<std::string> names;
  for (const ParameterSpec& spec : specs) names.push_back(spec.name);
  return names;
}

const ParameterSpec& spec_of(const std::vector<ParameterSpec>& specs, const std::string& name) {
  const auto found = std::ranges::find(specs, name, &ParameterSpec::name);
  EXPECT_NE(found, specs.end()) << name;
  return *found;
}

TEST(ModelParameters, AChainHasItsGatesNormsOwnExpertsAndSharedExpert) {
  LayerConfig layer = model_of(ResidualStream::kPrenorm).layer;
  layer.shared_experts = 2;
  const std::vector<ParameterSpec> specs = chain_specs(layer, "p.", {5, 1});
  EXPECT_THAT(names_of(specs), ElementsAre("p.gate.0.weight", "p.gate.1.weight", "p.norm.0.weight", "p.norm.1.weight",
                                           "p.experts.5.gate_proj.weight", "p.experts.5.up_proj.weight",
                                           "p.experts.5.down_proj.weight", "p.shared_experts.gate_proj.weight",
                                           "p.shared_experts.up_proj.weight", "p.shared_experts.down_proj.weight"));
  EXPECT_EQ(spec_of(specs, "p.gate.1.weight").shape, (Shape{7, 8}));
  EXPECT_EQ(spec_of(specs, "p.norm.0.weight").shape, (Shape{8}));
  EXPECT_EQ(spec_of(specs, "p.experts.5.up_proj.weight").shape, (Shape{3, 8}));
  EXPECT_EQ(spec_of(specs, "p.experts.5.down_proj.weight").shape, (Shape{8, 3}));
  EXPECT_EQ(spec_of(specs, "p.shared_experts.gate_proj.weight").shape, (Shape{6, 8}));
  EXPECT_EQ(spec_of(specs, "p.shared_experts.down_proj.weight").shape, (Shape{8, 6}));
  for (const ParameterSpec& spec : specs) EXPECT_EQ(spec.expert, spec.name.starts_with("p.experts.")) << spec.name;
}

TEST(ModelParameters, NoiseBelongsToTheGateAndABiasToEveryIteration) {
  LayerConfig layer = model_of(ResidualStream::kAuthors).layer;
  layer.gate = GateSharing::kShared;
  layer.router_noise = layer.router_bias = true;
  const std::vector<ParameterSpec> specs = chain_specs(layer, "", {0, 0});
  EXPECT_THAT(names_of(specs), ElementsAre("gate.0.weight", "noise.0.weight", "router_bias.0", "router_bias.1"));
  EXPECT_EQ(spec_of(specs, "noise.0.weight").shape, (Shape{7, 8}));
  EXPECT_TRUE(spec_of(specs, "noise.0.weight").trained);
  EXPECT_EQ(spec_of(specs, "router_bias.1").shape, (Shape{7}));
  EXPECT_FALSE(spec_of(specs, "router_bias.1").trained);
  Parameters parameters(specs, true);
  const ChainWeights weights = chain_weights(layer, "", {0, 0}, parameters);
  ASSERT_EQ(weights.gates.size(), 2U);
  EXPECT_EQ(weights.gates[1].weight.value.raw(), weights.gates[0].weight.value.raw());
  EXPECT_EQ(weights.gates[1].noise.gradient.raw(), weights.gates[0].noise.gradient.raw());
  EXPECT_NE(weights.gates[1].bias.raw(), weights.gates[0].bias.raw());
}

TEST(ModelParameters, ASharedGateIsOne) {
  LayerConfig layer = model_of(ResidualStream::kAuthors).layer;
  layer.gate = GateSharing::kShared;
  EXPECT_THAT(names_of(chain_specs(layer, "", {0, 0})), ElementsAre("gate.0.weight"));
}

TEST(ModelParameters, ADecoderIsNamedAsLlamaIs) {
  ModelConfig config = model_of(ResidualStream::kPrenorm);
  config.layers = 1;
  const std::vector<ParameterSpec> specs = model_specs(config, {0, 0});
  EXPECT_THAT(names_of(specs),
              ElementsAre("model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
                          "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight",
                          "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.o_proj.weight",
                          "model.layers.0.mlp.gate.0.weight", "model.layers.0.mlp.gate.1.weight",
                          "model.layers.0.mlp.norm.0.weight", "model.layers.0.mlp.norm.1.weight", "model.norm.weight",
                          "lm_head.weight"));
  EXPECT_EQ(spec_of(specs, "model.embed_tokens.weight").shape, (Shape{11, 8}));
  EXPECT_EQ(spec_of(specs, "lm_head.weight").shape, (Shape{11, 8}));
  EXPECT_EQ(spec_of(specs, "model.layers.0.self_attn.o_proj.weight").shape, (Shape{8, 8}));
}

TEST(ModelParameters, TheAuthorsWiringHasANormAfterAttentionInstead) {
  const std::vector<std::string> names = names_of(model_specs(model_of(ResidualStream::kAuthors), {0, 7}));
  EXPECT_EQ(std::ranges::count(names, "model.layers.1.post_attention_layernorm.weight"), 1);
  EXPECT_EQ(std::ranges::count(names, "model.layers.1.mlp.norm.0.weight"), 0);
}

TEST(ModelParameters, GateAndUpProjectionAreOneMatrix) {
  const LayerConfig layer = model_of(ResidualStream::kPrenorm).layer;
  Parameters parameters(chain_specs(layer, "", {2, 3}), true);
  const ChainWeights weights = chain_weights(layer, "", {2, 3}, parameters);
  ASSERT_EQ(weights.experts.size(), 3U);
  EXPECT_EQ(weights.gates.size(), 2U);
  EXPECT_EQ(weights.norms.size(), 2U);
  EXPECT_FALSE(weights.shared.has_value());
  const ExpertWeights& third = weights.experts[1];
  EXPECT_EQ(third.gate_up.shape(), (Shape{6, 8}));
  EXPECT_EQ(third.gate_up.rows(0, 3).raw(), parameters.at("experts.3.gate_proj.weight").value.raw());
  EXPECT_EQ(third.gate_up.rows(3, 3).raw(), parameters.at("experts.3.up_proj.weight").value.raw());
  EXPECT_EQ(third.gate_up_gradient.rows(3, 3).raw(), parameters.at("experts.3.up_proj.weight").gradient.raw());
  EXPECT_EQ(third.down.raw(), parameters.at("experts.3.down_proj.weight").value.raw());
}

TEST(ModelParameters, AWeightHasTheSameBitsWhoeverHoldsIt) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm);
  Parameters all(model_specs(config, {0, 7}), false), few(model_specs(config, {5, 2}), false);
  initialise(config, 9, all);
  initialise(config, 9, few);
  for (const Parameter& parameter : few.all()) {
    EXPECT_EQ(values_of<float>(parameter.value), values_of<float>(all.at(parameter.name).value)) << parameter.name;
  }
}

TEST(ModelParameters, WeightsDifferByNameAndSeed) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm);
  Parameters one(model_specs(config, {0, 7}), false), other(model_specs(config, {0, 7}), false);
  initialise(config, 1, one);
  initialise(config, 2, other);
  const auto values = [](const Parameters& parameters, const char* name) {
    return values_of<float>(parameters.at(name).value);
  };
  const char* q = "model.layers.0.self_attn.q_proj.weight";
  EXPECT_NE(values(one, q), values(other, q));
  EXPECT_NE(values(one, q), values(one, "model.layers.1.self_attn.q_proj.weight"));
  EXPECT_NE(values(one, q), values(one, "model.layers.0.self_attn.k_proj.weight"));
}

double deviation_of(const Tensor& tensor) {
  double squares = 0;
  for (const double value : doubles_of(tensor)) squares += value * value;
  return std::sqrt(squares / static_cast<double>(tensor.elements()));
}

TEST(ModelParameters, InitialisationIsTheAuthors) {
  ModelConfig config = model_of(ResidualStream::kPrenorm);
  config.hidden = config.layer.hidden = 64;
  config.layer.experts = 64;
  config.layer.expert_hidden = 64;
  Parameters parameters(model_specs(config, {0, 1}), false);
  initialise(config, 3, parameters);
  for (const Parameter& parameter : parameters.all()) {
    const std::vector<double> values = doubles_of(parameter.value);
    if (parameter.value.shape().rank() == 1) {
      EXPECT_EQ(values, std::vector<double>(64, 1.0)) << parameter.name;
    } else if (parameter.name.find(".gate.") != std::string::npos) {
      // Uniform within 1/8: nothing outside, nearly the bounds within, deviation (1/8) / sqrt(3).
      EXPECT_LE(*std::ranges::max_element(values), 0.125) << parameter.name;
      EXPECT_GE(*std::ranges::min_element(values), -0.125) << parameter.name;
      EXPECT_GT(*std::ranges::max_element(values), 0.12) << parameter.name;
      EXPECT_NEAR(deviation_of(parameter.value), 0.125 / std::sqrt(3.0), 0.003) << parameter.name;
    } else if (parameter.value.elements() >= 4096) {
      EXPECT_NEAR(deviation_of(parameter.value), 0.02, 0.001) << parameter.name;
    } else {
      EXPECT_NEAR(deviation_of(parameter.value), 0.02, 0.003) << parameter.name;
    }
  }
}

}  // namespace
}  // namespace coe
