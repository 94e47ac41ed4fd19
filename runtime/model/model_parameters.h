#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// How the weights of a rank's experts of one layer lie in memory.
enum class ExpertOrder {
  kByExpert,  ///< each expert's together
  kByMatrix,  ///< gate_proj and up_proj of all, then down_proj of all: as grouped products read them
};
inline ExpertOrder expert_order(Device device) {
  return device == kCpu ? ExpertOrder::kByExpert : ExpertOrder::kByMatrix;
}

/// The parameters of one chain layer on a rank that holds `experts`, their names behind `prefix` ("" or
/// "model.layers.0.mlp."): gate.{t}.weight, noise.{t}.weight,
/// router_bias.{t}, norm.{t}.weight, experts.{e}.{gate,up,down}_proj.weight, shared_experts.*.
std::vector<ParameterSpec> chain_specs(const LayerConfig& config, const std::string& prefix, const ExpertIds& experts,
                                       ExpertOrder order = ExpertOrder::kByExpert);
/// Views of the same parameters.
ChainWeights chain_weights(const LayerConfig& config, const std::string& prefix, const ExpertIds& experts,
                           Parameters& parameters);

/// All parameters of a decoder on a rank that holds experts[l] of layer l, or the same `experts` of every layer.
std::vector<ParameterSpec> model_specs(const ModelConfig& config, std::span<const ExpertIds> experts,
                                       ExpertOrder order = ExpertOrder::kByExpert);
std::vector<ParameterSpec> model_specs(const ModelConfig& config, const ExpertIds& experts);

/// Draws all weights, each keyed by (seed, its name), so that they do not depend on who holds them: gates uniform
/// within 1/sqrt(D), norms 1, router noise and bias 0, all others normal with deviation 0.02 (the Chain-of-Experts
/// authors' initialisation).
void initialise(const ModelConfig& config, std::uint64_t seed, Parameters& parameters);

}  // namespace coe
