#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

struct AttentionWeights {
  TrainedTensor norm;        ///< [D]
  TrainedTensor q, k, v, o;  ///< [D, D]
};

/// What the backward needs of the forward; views the step's Arena.
struct AttentionSaved {
  Tensor h, normed, inverse_rms;
  Tensor q, k, v;        ///< [T, D], q and k rotated
  Tensor probabilities;  ///< [B, heads, S, S]; of each sequence its documents' [heads, n, n], one after the other
  Tensor mixed;          ///< [T, D], before the output projection
};

/// h + o_proj(attention(RMSNorm(h))), causal, with rotary positions, document by document; as in Hugging Face's Llama.
/// One rank's business.
class AttentionBlock {
 public:
  AttentionBlock(std::int64_t heads, float norm_eps, const AttentionWeights& weights)
      : heads_(static_cast<int>(heads)), norm_eps_(norm_eps), weights_(weights) {}

  /// h [T, D], whole sequences -> out [T, D] (overwritten); `cosine` and `sine` are rope_table()'s. What is saved lives
  /// in the arena.
  void forward(const Tensor& h, const Batch& batch, const Tensor& cosine, const Tensor& sine, const Tensor& out,
               AttentionSaved& saved, Arena& arena) const;
  /// Turns d [T, D], the gradient of the output, into that of h in place; adds up the weights' gradients.
  void backward(const Tensor& d, const Batch& batch, const Tensor& cosine, const Tensor& sine,
                const AttentionSaved& saved, Arena& arena) const;

 private:
  int heads_;
  float norm_eps_;
  AttentionWeights weights_;
};

}  // namespace coe
