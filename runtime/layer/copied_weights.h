#pragma once

#include <vector>

#include "comm/group.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/config/config.h"
#include "runtime/layer/chain_weights.h"

namespace coe {

/// A layer's weights on a stream's device, copied from weights in host memory. Owns them.
class CopiedWeights {
 public:
  /// Matrices become fp32 or bf16. Waits until they are there. Throws kPeer where the device takes longer than the
  /// group waits.
  CopiedWeights(const LayerConfig& config, const ChainWeights& host, DType dtype, const Group& group,
                const Stream& stream);

  const ChainWeights& views() const { return views_; }
  void zero_gradients(const Stream& stream) const;
  /// Overwrites the gradients of `host`, there when the stream is done.
  void read_gradients(const ChainWeights& host, const Stream& stream) const;

 private:
  /// Empty where the host's is.
  Tensor upload(const Tensor& host, DType dtype, Arena& staging, const Stream& stream);
  TrainedTensor upload(const TrainedTensor& host, DType dtype, Arena& staging, const Stream& stream);
  /// Those of `width` behind one another.
  std::vector<ExpertWeights> upload(std::span<const ExpertWeights> host, std::int64_t width, std::int64_t hidden,
                                    Arena& staging, const Stream& stream);
  void upload_into(const Tensor& host, const Tensor& to, Arena& staging, const Stream& stream) const;
  Tensor make_gradient(const Shape& shape);

  DType dtype_;
  Arena memory_;
  ChainWeights views_;
  std::vector<Tensor> gradients_;
};

}  // namespace coe
