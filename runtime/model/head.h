#pragma once

#include <cstdint>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// A decoder's end: RMSNorm, the projection to logits, and cross-entropy. Logits of some rows at a time are there, so
/// that those of a whole batch are never kept. One rank's business. Views the stream.
class Head {
 public:
  /// norm [D], projection [V, D].
  Head(float norm_eps, const TrainedTensor& norm, const TrainedTensor& projection, const Stream& stream)
      : norm_eps_(norm_eps), norm_(norm), projection_(projection), stream_(&stream) {}

  /// Rows of logits at a time: on the host those of a sequence, on a device what fills it.
  std::int64_t rows_at_once(std::int64_t sequence) const;

  /// h [T, D] -> logits fp32 [T, V] (overwritten), `length` tokens of each sequence.
  void logits(const Tensor& h, std::int64_t length, const Tensor& logits, Arena& arena) const;
  /// loss fp64 [1] += the cross-entropy of labels int32 [T], of which negative ones do not count.
  void add_loss(const Tensor& h, const Tensor& labels, std::int64_t length, const Tensor& loss, Arena& arena) const;
  /// The same, and d [T, D] (overwritten) is the gradient of scale times it; adds up the weights' gradients.
  void backward(const Tensor& h, const Tensor& labels, std::int64_t length, float scale, const Tensor& loss,
                const Tensor& d, Arena& arena) const;

 private:
  struct Normed {
    Tensor rows, inverse_rms;
  };
  Normed normed(const Tensor& h, Arena& arena) const;

  float norm_eps_;
  TrainedTensor norm_, projection_;
  const Stream* stream_;
};

}  // namespace coe
