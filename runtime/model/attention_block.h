#pragma once

#include <cstdint>
#include <vector>

#include "kernels/decoder/attention.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/ranks/batch.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

struct AttentionWeights {
  TrainedTensor norm;        ///< [D]
  TrainedTensor q, k, v, o;  ///< [D, D]
};

/// Where the rows of a forward stand: which attend to one another, and at which positions of rotation.
struct AttentionRows {
  std::vector<std::int32_t> lengths;  ///< of the documents
  DocumentRows documents;             ///< the same in the memory of the rows
  Tensor positions;                   ///< int32 [T], each row's in its document, in the memory of the rows
};
/// Of a rank's part of a batch; tensors are taken off the arena.
AttentionRows attention_rows(const Batch& batch, Arena& arena, const Stream& stream);

/// What the backward needs of the forward; views the step's Arena.
struct AttentionSaved {
  Tensor h, normed, inverse_rms;
  Tensor q, k, v;  ///< [T, D], q and k rotated
  Tensor softmax;  ///< what attention() saves
  Tensor mixed;    ///< [T, D], before the output projection
};

/// h + o_proj(attention(RMSNorm(h))), causal, with rotary positions, document by document; as in Hugging Face's Llama.
/// One rank's business. Views the stream.
class AttentionBlock {
 public:
  AttentionBlock(std::int64_t heads, float norm_eps, const AttentionWeights& weights, const Stream& stream)
      : heads_(static_cast<int>(heads)), norm_eps_(norm_eps), weights_(weights), stream_(&stream) {}

  /// h [T, D], whole sequences -> out [T, D] (overwritten); `cosine` and `sine` are rope_table()'s. What is saved lives
  /// in the arena.
  void forward(const Tensor& h, const AttentionRows& where, const Tensor& cosine, const Tensor& sine, const Tensor& out,
               AttentionSaved& saved, Arena& arena) const;
  /// Turns d [T, D], the gradient of the output, into that of h in place; adds up the weights' gradients.
  void backward(const Tensor& d, const AttentionRows& where, const Tensor& cosine, const Tensor& sine,
                const AttentionSaved& saved, Arena& arena) const;

 private:
  /// Adds to dx, beside beta of it, and to the weight's gradient, what comes back through y = x W^T.
  void linear_backward(const TrainedTensor& weight, const Tensor& x, const Tensor& dy, float beta, const Tensor& dx,
                       Arena& arena) const;

  int heads_;
  float norm_eps_;
  AttentionWeights weights_;
  const Stream* stream_;
};

}  // namespace coe
