#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/layer/experts.h"

namespace coe {

/// The feed-forward that every token takes on its own rank, beside the experts that it chose (DeepSeekMoE, arXiv
/// 2401.06066, section 3.2).
class SharedExpert {
 public:
  /// Views the stream.
  SharedExpert(const ExpertWeights& weights, const Stream& stream) : weights_(weights), stream_(&stream) {}

  /// Of ab, which is [T, wide()].
  std::int64_t wide() const { return weights_.gate_up.extent(0); }

  /// out [T, D] is overwritten, ab [T, wide()] is what the backward needs. x [T, D] are sequences of `length` tokens,
  /// by which the host goes, so that sums over tokens do not depend on who has which sequence.
  void forward(const Tensor& x, std::int64_t length, const Tensor& ab, const Tensor& out, Arena& arena) const;
  /// dx [T, D] (overwritten) from d [T, D]; the weights' gradients add up. Consumes ab.
  void backward(const Tensor& x, std::int64_t length, const Tensor& ab, const Tensor& d, const Tensor& dx,
                Arena& arena) const;

 private:
  void forward_there(const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) const;
  void backward_there(const Tensor& x, const Tensor& ab, const Tensor& d, const Tensor& dx, Arena& arena) const;

  ExpertWeights weights_;
  const Stream* stream_;
};

}  // namespace coe
