#pragma once

#include <cstdint>
#include <memory>

#include "kernels/arena.h"
#include "runtime/router.h"

namespace coe {

/// The router weights of one (layer, iteration): tokens -> Routing. Iterations that share a gate have Gates on one
/// weight.
class Gate {
 public:
  /// weight and gradient [N, D] view Parameters; gradient is empty where nothing is trained. The router is viewed.
  Gate(const Tensor& weight, const Tensor& gradient, const Router& router)
      : weight_(weight), gradient_(gradient), router_(&router) {}

  /// x [T, D], whole sequences of `length` tokens: fp32 logits, one product per sequence, then the router.
  Routed forward(const Tensor& x, std::int64_t length, Arena& arena) const;
  /// dx [T, D] += gradient through the logits; adds up the weight's gradient. dweight [choices].
  void backward(const Tensor& x, std::int64_t length, const Routed& routed, const Tensor& dweight,
                const BalanceGradient& balance, const Tensor& dx, Arena& arena) const;

 private:
  Tensor weight_, gradient_;
  const Router* router_;
};

}  // namespace coe
