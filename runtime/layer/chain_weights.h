#pragma once

#include <optional>
#include <vector>

#include "runtime/layer/experts.h"
#include "runtime/routing/gate.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// The weights of one chain layer on this rank, on any device: matrices of experts in fp32, on a device in fp32 or
/// bf16; gates, norms, biases and all gradients in fp32.
struct ChainWeights {
  std::vector<GateWeights> gates;      ///< C of them
  std::vector<TrainedTensor> norms;    ///< [D] each: C of them with iteration_norm, else none
  std::vector<ExpertWeights> experts;  ///< this rank's, in ascending global id
  std::optional<ExpertWeights> shared;
};

}  // namespace coe
