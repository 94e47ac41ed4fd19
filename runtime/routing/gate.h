#pragma once

#include <cstdint>
#include <memory>

#include "kernels/memory/arena.h"
#include "kernels/products/linear.h"
#include "runtime/config/config.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/router.h"
#include "runtime/routing/routing_context.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// Weights of one gate, fp32 whatever the tokens' dtype is; iterations that share a gate view the same ones, but each
/// has its own bias.
struct GateWeights {
  TrainedTensor weight;  ///< [N, D]
  TrainedTensor noise;   ///< [N, D]; empty without noise
  Tensor bias;           ///< [N]; empty without bias
};

/// What a gate's backward needs of its forward; views the step's Arena.
struct GateSaved {
  Tensor x;            ///< [T, D] what the logits were made of: the gate's input, or that with jitter
  Tensor noise_slope;  ///< fp32 [T, N] d(logit) / d(noise logit); empty without noise
  Tensor draws;        ///< what jitter and noise were drawn by, as in RoutingNumbers; empty without
};

/// A gate's forward under way: tokens are routed block by block, as their rows become complete. Views the step's Arena.
struct GateForward {
  std::int64_t first_token = 0;  ///< of this rank's, counted over the micro-batch
  LinearWeight weight, noise;
  Routed routed;
};

/// The gate of one (layer, iteration): tokens -> Routing.
class Gate {
 public:
  /// The router is viewed; the gate works on its stream.
  Gate(const LayerConfig& config, int layer, int iteration, const GateWeights& weights, const Router& router);

  /// Begins with x [T, D], whole sequences, whose rows need not be there yet.
  GateForward begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, GateSaved& saved,
                            Arena& arena) const;
  /// Tokens [first, first + count) of x, each once, in ascending order, and on a device all at once: fp32 logits, then
  /// the router. Jitter multiplies what the gate sees (Switch, arXiv 2101.03961); noise adds N(0, 1) softplus(x Wn) to
  /// the logits (Shazeer et al. 2017, arXiv 1701.06538, section 2.1); both only where `context` has random numbers.
  /// Logits that are not finite count as 0, so that this rank goes on with the others; whoever called makes it known
  /// (Routed::lost).
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
  const Stream& stream() const { return router_->stream(); }
  bool jitters(const GateSaved& saved) const { return saved.draws.elements() > 0 && jitter_ > 0; }
  /// dx = beta dx + gradient through the logits, and through their noise; dlogits is consumed.
  void products_backward(const Batch& batch, const GateSaved& saved, const Tensor& dlogits, float beta,
                         const Tensor& dx, Arena& arena) const;

  float jitter_;
  std::int64_t place_;  ///< of (layer, iteration), for random numbers
  GateWeights weights_;
  const Router* router_;
};

}  // namespace coe
