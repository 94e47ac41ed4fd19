#pragma once

#include "kernels/arena.h"
#include "kernels/route.h"
#include "runtime/batch.h"
#include "runtime/device_chain_weights.h"

namespace coe {

/// A gate's decision on a device with what its backward needs; views the step's Arena.
struct DeviceRouted {
  cuda::DeviceChoices choices;
  Tensor scores, logsumexp;  ///< [T, N]; [T], empty with the ReLU router
  Tensor balance;            ///< gradient of the balance loss with respect to scores, [B, N] or [1, N]; empty: none
  float z_scale = 0;
  Tensor lost;  ///< int32 [1]: the first token whose logits are not finite
};

/// The twin of Gate, the routers and the balance losses.
class DeviceGate {
 public:
  DeviceGate(const LayerConfig& config, const GateWeights& weights);

  /// x [T, D]. `none` int32 [1] is cuda::kNoneLost.
  DeviceRouted forward(const Tensor& x, const Tensor& none, Arena& arena, const Stream& stream) const;
  /// Adds this iteration's balance losses to loss fp64 [1]; table int32 [R, N] has all ranks' choices.
  void balance(DeviceRouted& routed, const Tensor& table, const Batch& batch, double l1_coeff, const Tensor& loss,
               Arena& arena, const Stream& stream) const;
  /// dx [T, D] += gradient through the logits; adds up the weights' gradient. dweight [choices].
  void backward(const DeviceRouted& routed, const Tensor& x, const Tensor& dweight, const Tensor& dx, Arena& arena,
                const Stream& stream) const;

 private:
  bool relu() const { return config_.router == RouterKind::kRelu; }
  cuda::TopkRule rule() const;

  LayerConfig config_;
  GateWeights weights_;
};

}  // namespace coe
