#pragma once

#include <optional>
#include <vector>

#include "comm/group.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/layer/chain_layer.h"

namespace coe {

/// Feed-forwards side by side on a device, as grouped products want them.
struct DeviceExpertWeights {
  TrainedTensor gate_up;  ///< [G, 2 F, D], gradient fp32
  TrainedTensor down;     ///< [G, D, F], gradient fp32
  std::int64_t count() const { return gate_up.value.extent(0); }
};

/// A layer's weights on a device, copied from ChainWeights in host memory: matrices in fp32 or bf16, norms, biases and
/// all gradients in fp32. Owns them.
class DeviceChainWeights {
 public:
  /// Waits until they are there. Throws kPeer where the device takes longer than the group waits.
  DeviceChainWeights(const LayerConfig& config, const ChainWeights& host, DType dtype, const Group& group,
                     const Stream& stream);

  DType dtype() const { return dtype_; }
  const GateWeights& gate(int t) const { return gates_[static_cast<std::size_t>(t)]; }
  const TrainedTensor& norm(int t) const { return norms_[static_cast<std::size_t>(t)]; }
  const DeviceExpertWeights& experts() const { return experts_; }
  const std::optional<DeviceExpertWeights>& shared() const { return shared_; }

  void zero_gradients(const Stream& stream) const;
  /// Overwrites the gradients of `host`, there when the stream is done.
  void read_gradients(const ChainWeights& host, const Stream& stream) const;

 private:
  /// Empty where the host's is.
  Tensor upload(const Tensor& host, DType dtype, Arena& staging, const Stream& stream);
  TrainedTensor upload(const TrainedTensor& host, DType dtype, Arena& staging, const Stream& stream);
  DeviceExpertWeights upload(std::span<const ExpertWeights> host, std::int64_t width, std::int64_t hidden,
                             Arena& staging, const Stream& stream);
  void upload_into(const Tensor& host, const Tensor& to, Arena& staging, const Stream& stream) const;
  Tensor make_gradient(const Shape& shape);

  DType dtype_;
  Arena memory_;
  std::vector<GateWeights> gates_;
  std::vector<TrainedTensor> norms_;
  DeviceExpertWeights experts_;
  std::optional<DeviceExpertWeights> shared_;
  std::vector<Tensor> gradients_;
};

}  // namespace coe
