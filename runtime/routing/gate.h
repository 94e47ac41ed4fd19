#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "kernels/memory/arena.h"
#include "kernels/products/linear.h"
#include "runtime/config/config.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/router.h"
#include "runtime/routing/routing_context.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// Weights of one gate; iterations that share a gate view the same ones, but each has its own bias.
struct GateWeights {
  TrainedTensor weight;  ///< [N, D]
  TrainedTensor noise;   ///< [N, D]; empty without noise
  Tensor bias;           ///< [N]; empty without bias
};

/// What a gate's backward needs of its forward; views the step's Arena.
struct GateSaved {
  Tensor x;                ///< [T, D] what the logits were made of: the gate's input, or that with jitter
  Tensor jitter;           ///< [T, D] factors; empty without
  Tensor noise_slope;      ///< [T, N] d(logit) / d(noise logit); empty without noise
  std::int64_t lost = -1;  ///< the first token whose logits are not finite
};

/// A gate's forward under way: tokens are routed block by block, as their rows become complete. Views the step's Arena.
struct GateForward {
  std::optional<StepRandom> random;
  std::uint64_t first_token = 0;  ///< of this rank's, counted over the step
  PackedMatrix weight;
  Routed routed;
};

/// The gate of one (layer, iteration): tokens -> Routing.
class Gate {
 public:
  /// The router is viewed.
  Gate(const LayerConfig& config, int layer, int iteration, const GateWeights& weights, const Router& router);

  /// Begins with x [T, D], whole sequences, whose rows need not be there yet.
  GateForward begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                            Arena& arena) const;
  /// Tokens [first, first + count) of x, each once, in ascending order: fp32 logits, then the router. Jitter multiplies
  /// what the gate sees (Switch, arXiv 2101.03961); noise adds N(0, 1) softplus(x Wn) to the logits (Shazeer et al.
  /// 2017, arXiv 1701.06538, section 2.1); both only where `context` has random numbers. Logits that are not finite
  /// count as 0, so that this rank goes on with the others; whoever called makes it known (saved.lost).
  void route(const GateForward& pass, const Tensor& x, std::int64_t first, std::int64_t count, GateSaved& saved,
             Arena& arena) const;
  Routed finish_forward(GateForward& pass, Arena& arena) const;
  /// All of these.
  Routed forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                 Arena& arena) const;
  /// dx [T, D] += gradient through the logits; adds up the weights' gradients. dweight [choices].
  void backward(const Batch& batch, const GateSaved& saved, const Routed& routed, const Tensor& dweight,
                const BalanceGradient& balance, const Tensor& dx, Arena& arena) const;

  const Tensor& bias() const { return weights_.bias; }

 private:
  /// To rows of x that are tokens from `first` on.
  void add_jitter(const GateForward& pass, const Tensor& x, std::int64_t first, const GateSaved& saved) const;
  void add_noise(const GateForward& pass, const Tensor& x, const Tensor& logits, std::int64_t first,
                 const GateSaved& saved, Arena& arena) const;

  float jitter_;
  std::int64_t place_;  ///< of (layer, iteration), for random numbers
  GateWeights weights_;
  const Router* router_;
};

}  // namespace coe
