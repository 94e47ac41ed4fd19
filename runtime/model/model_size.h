#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/config/config.h"

namespace coe {

/// How a model is going to be trained, as far as it decides how much memory a step takes.
struct TrainingUse {
  std::int64_t tokens = 0;  ///< of one rank in one forward, whole sequences
  std::int64_t ranks = 1;   ///< of the expert-parallel group
  Recompute recompute = Recompute::kNone;
  int chunks = 1;
  Device::Kind device = Device::Kind::kCpu;  ///< where attention keeps its probabilities, or does not
  DType dtype = DType::kF32;                 ///< of activations
  std::int64_t replicas = 1;                 ///< expert-parallel groups
  bool shards_state = false;                 ///< see WeightSharing
};

/// That of a run on so many ranks, for the rank that has most tokens.
TrainingUse training_use(const Config& config, std::int64_t ranks);

/// What a training step takes on one rank beside weights, gradients, moments and messages; a hint as LayerSize is one.
struct ModelSize {
  std::size_t kept_bytes = 0;     ///< of activations from forward to backward, in the step's Arena, all layers together
  std::size_t working_bytes = 0;  ///< of the Arena besides: hidden states, gradients, one layer's work
  std::size_t chunk_bytes = 0;    ///< of the arenas that several chunks have, in the place of the layers' part there
  std::size_t window_bytes = 0;   ///< of an exact Exchange: rows for all layers that wait for their backward

  std::size_t arena_bytes() const { return kept_bytes + working_bytes; }
  std::size_t bytes() const { return arena_bytes() + chunk_bytes + window_bytes; }
};

ModelSize model_size(const ModelConfig& model, const TrainingUse& use);
/// Of the weights of the rank that holds most, with gradients, moments, copies rounded for products, and gradients on
/// their way to where they are added up (by NCCL these take nothing).
std::size_t weight_bytes(const ModelConfig& model, const TrainingUse& use);

}  // namespace coe
