#pragma once

#include <optional>

#include "kernels/memory/arena.h"
#include "kernels/routing/route.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/gate.h"
#include "runtime/routing/routing_context.h"

namespace coe {

/// A gate's decision on a device with what its backward needs; views the step's Arena.
struct DeviceRouted {
  cuda::DeviceChoices choices;
  cuda::TopkScores scores;  ///< with the ReLU router `score` alone
  Tensor balance;           ///< gradient of the balance loss, [B, N] or [1, N]; empty: none
  float z_scale = 0;
  Tensor lost;                       ///< int32 [1]: the first token whose logits are not finite
  Tensor x;                          ///< [T, D] what the logits were made of: the gate's input, or that with jitter
  Tensor noise_slope;                ///< fp32 [T, N] d(logit) / d(noise logit); empty without noise
  std::optional<StepRandom> random;  ///< what jitter was drawn by
};

/// The twin of Gate, the routers and the balance losses.
class DeviceGate {
 public:
  DeviceGate(const LayerConfig& config, int layer, int iteration, const GateWeights& weights);

  /// x [T, D]; jitter and noise only where there are random numbers. `none` int32 [1] is cuda::kNoneLost.
  DeviceRouted forward(const Tensor& x, const Batch& batch, const std::optional<StepRandom>& random, const Tensor& none,
                       Arena& arena, const Stream& stream) const;
  /// Adds this iteration's balance losses to loss fp64 [1]; table int32 [R, N] has all ranks' choices.
  void balance(DeviceRouted& routed, const Tensor& table, const Batch& batch, double l1_coeff, const Tensor& loss,
               Arena& arena, const Stream& stream) const;
  /// dx [T, D] += gradient through the logits; adds up the weights' gradient. dweight [choices].
  void backward(const DeviceRouted& routed, const Batch& batch, const Tensor& dweight, const Tensor& dx, Arena& arena,
                const Stream& stream) const;

  /// How scores become choices, and what is added to them there, fp32 [N] or empty.
  cuda::TopkRule rule() const;
  const Tensor& bias() const { return weights_.bias; }

 private:
  bool relu() const { return config_.router == RouterKind::kRelu; }
  bool jitters(const std::optional<StepRandom>& random) const { return random && config_.router_jitter > 0; }
  /// dx = beta dx + gradient through the logits, and through their noise.
  void products_backward(const DeviceRouted& routed, const Tensor& dlogits, float beta, const Tensor& dx, Arena& arena,
                         const Stream& stream) const;

  LayerConfig config_;
  std::int64_t place_;  ///< of (layer, iteration), for random numbers
  GateWeights weights_;
};

}  // namespace coe
