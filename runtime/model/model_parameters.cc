#include "runtime/model/model_parameters.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "kernels/memory/random.h"

namespace coe {
namespace {

constexpr float kDeviation = 0.02F;

struct FeedForward {
  std::int64_t hidden, width;
  bool expert;

  void add_gate_up(const std::string& prefix, std::vector<ParameterSpec>& specs) const {
    specs.push_back({prefix + "gate_proj.weight", {width, hidden}, expert});
    specs.push_back({prefix + "up_proj.weight", {width, hidden}, expert});
  }
  void add_down(const std::string& prefix, std::vector<ParameterSpec>& specs) const {
    specs.push_back({prefix + "down_proj.weight", {hidden, width}, expert});
  }
};

void add_experts(const LayerConfig& config, const std::string& prefix, const ExpertIds& experts, ExpertOrder order,
                 std::vector<ParameterSpec>& specs) {
  const FeedForward one{config.hidden, config.expert_hidden, true};
  const auto name = [&](std::int64_t e) { return prefix + "experts." + std::to_string(e) + "."; };
  for (const std::int64_t e : experts) {
    one.add_gate_up(name(e), specs);
    if (order == ExpertOrder::kByExpert) one.add_down(name(e), specs);
  }
  if (order == ExpertOrder::kByExpert) return;
  for (const std::int64_t e : experts) one.add_down(name(e), specs);
}

/// gate_proj and up_proj as the one matrix that they are in memory.
Tensor joined(const Tensor& gate, const Tensor& up) {
  if (gate.elements() == 0) return {};
  if (gate.raw() + gate.bytes() != up.raw()) fail(ErrorCode::kInternal, "parameters: gate_proj and up_proj are apart");
  return {gate.raw(), gate.dtype(), {2 * gate.extent(0), gate.extent(1)}, gate.device()};
}

ExpertWeights feed_forward(const std::string& prefix, Parameters& parameters) {
  const Parameter& gate = parameters.at(prefix + "gate_proj.weight");
  const Parameter& up = parameters.at(prefix + "up_proj.weight");
  const Parameter& down = parameters.at(prefix + "down_proj.weight");
  return {joined(gate.working, up.working), down.working, joined(gate.gradient, up.gradient), down.gradient};
}

std::string numbered(const std::string& prefix, const char* noun, std::int64_t number) {
  return prefix + noun + "." + std::to_string(number) + ".weight";
}

std::string bias_name(const std::string& prefix, std::int64_t iteration) {
  return prefix + "router_bias." + std::to_string(iteration);
}

std::uint64_t hash_of(const std::string& name) {
  XXH64_state_t state;
  XXH64_reset(&state, 0);
  XXH64_update(&state, name.data(), name.size());
  return XXH64_digest(&state);
}

std::int64_t gates_of(const LayerConfig& config) { return config.gate == GateSharing::kShared ? 1 : config.iterations; }

}  // namespace

std::vector<ParameterSpec> chain_specs(const LayerConfig& config, const std::string& prefix, const ExpertIds& experts,
                                       ExpertOrder order) {
  const Shape router{config.experts, config.hidden};
  std::vector<ParameterSpec> specs;
  for (std::int64_t t = 0; t < gates_of(config); ++t) {
    specs.push_back({.name = numbered(prefix, "gate", t), .shape = router, .rounded = false});
  }
  for (std::int64_t t = 0; config.router_noise && t < gates_of(config); ++t) {
    specs.push_back({.name = numbered(prefix, "noise", t), .shape = router, .rounded = false});
  }
  for (std::int64_t t = 0; config.router_bias && t < config.iterations; ++t) {
    specs.push_back({bias_name(prefix, t), {config.experts}, false, false});
  }
  for (std::int64_t t = 0; config.iteration_norm && t < config.iterations; ++t) {
    specs.push_back({numbered(prefix, "norm", t), {config.hidden}});
  }
  add_experts(config, prefix, experts, order, specs);
  if (config.shared_experts > 0) {
    const FeedForward shared{config.hidden, config.shared_experts * config.expert_hidden, false};
    shared.add_gate_up(prefix + "shared_experts.", specs);
    shared.add_down(prefix + "shared_experts.", specs);
  }
  return specs;
}

ChainWeights chain_weights(const LayerConfig& config, const std::string& prefix, const ExpertIds& experts,
                           Parameters& parameters) {
  const auto trained = [&](const std::string& name) { return parameters.at(name).trained(); };
  ChainWeights weights;
  for (std::int64_t t = 0; t < config.iterations; ++t) {
    const std::int64_t gate = std::min(t, gates_of(config) - 1);
    weights.gates.push_back({.weight = trained(numbered(prefix, "gate", gate)), .noise = {}, .bias = {}});
    if (config.router_noise) weights.gates.back().noise = trained(numbered(prefix, "noise", gate));
    if (config.router_bias) weights.gates.back().bias = parameters.at(bias_name(prefix, t)).value;
  }
  for (std::int64_t t = 0; config.iteration_norm && t < config.iterations; ++t) {
    weights.norms.push_back(trained(numbered(prefix, "norm", t)));
  }
  for (const std::int64_t e : experts) {
    weights.experts.push_back(feed_forward(prefix + "experts." + std::to_string(e) + ".", parameters));
  }
  if (config.shared_experts > 0) weights.shared = feed_forward(prefix + "shared_experts.", parameters);
  return weights;
}

std::vector<ParameterSpec> model_specs(const ModelConfig& config, const ExpertIds& experts) {
  return model_specs(config, std::vector(static_cast<std::size_t>(config.layers), experts));
}

std::vector<ParameterSpec> model_specs(const ModelConfig& config, std::span<const ExpertIds> experts,
                                       ExpertOrder order) {
  const std::int64_t hidden = config.hidden;
  std::vector<ParameterSpec> specs = {{"model.embed_tokens.weight", {config.vocab, hidden}}};
  for (std::int64_t l = 0; l < config.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    specs.push_back({layer + "input_layernorm.weight", {hidden}});
    for (const char* projection : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      specs.push_back({layer + "self_attn." + projection + ".weight", {hidden, hidden}});
    }
    if (config.residual_stream == ResidualStream::kAuthors) {
      specs.push_back({layer + "post_attention_layernorm.weight", {hidden}});
    }
    std::ranges::copy(chain_specs(config.layer, layer + "mlp.", experts[static_cast<std::size_t>(l)], order),
                      std::back_inserter(specs));
  }
  specs.push_back({"model.norm.weight", {hidden}});
  specs.push_back({"lm_head.weight", {config.vocab, hidden}});
  return specs;
}

void initialise(const ModelConfig& config, std::uint64_t seed, Parameters& parameters) {
  const float bound = 1 / std::sqrt(static_cast<float>(config.hidden));
  for (const Parameter& parameter : parameters.all()) {
    const RandomKey key{seed, hash_of(parameter.name)};
    const auto is = [&](const char* noun) { return parameter.name.find(noun) != std::string::npos; };
    if (is(".noise.") || is(".router_bias.")) {
      std::ranges::fill(parameter.value.span<float>(), 0.0F);
    } else if (is(".gate.")) {
      fill_uniform(parameter.value, key, -bound, bound);
    } else if (parameter.value.shape().rank() == 1) {
      std::ranges::fill(parameter.value.span<float>(), 1.0F);
    } else {
      fill_normal(parameter.value, key, 0, kDeviation);
    }
  }
}

}  // namespace coe
