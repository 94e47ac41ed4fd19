#include "runtime/layer/device_chain_weights.h"

#include "comm/stream_meeting.h"
#include "kernels/memory/copy.h"

namespace coe {
namespace {

constexpr Phase kPhase{"copying weights to the device"};

}  // namespace

DeviceChainWeights::DeviceChainWeights(const LayerConfig& config, const ChainWeights& host, DType dtype,
                                       const Group& group, const Stream& stream)
    : dtype_(dtype), memory_(0, stream.device()) {
  Arena staging(0, stream.device());
  for (std::size_t t = 0; t < host.gates.size(); ++t) {
    const GateWeights& gate = host.gates[t];
    // Iterations that share a gate share its gradient.
    const bool same = t > 0 && gate.weight.value.raw() == host.gates[t - 1].weight.value.raw();
    const TrainedTensor weight = same ? gates_.back().weight : upload(gate.weight, dtype, staging, stream);
    const TrainedTensor noise = same ? gates_.back().noise : upload(gate.noise, dtype, staging, stream);
    gates_.push_back({weight, noise, upload(gate.bias, DType::kF32, staging, stream)});
  }
  for (const TrainedTensor& norm : host.norms) norms_.push_back(upload(norm, DType::kF32, staging, stream));
  experts_ = upload(host.experts, config.expert_hidden, config.hidden, staging, stream);
  if (host.shared) {
    shared_ = upload({&*host.shared, 1}, config.shared_experts * config.expert_hidden, config.hidden, staging, stream);
  }
  zero_gradients(stream);
  wait(group, stream, kPhase);  // the staging memory is in use until then
}

Tensor DeviceChainWeights::make_gradient(const Shape& shape) {
  gradients_.push_back(memory_.make<float>(shape));
  return gradients_.back();
}

void DeviceChainWeights::upload_into(const Tensor& host, const Tensor& to, Arena& staging, const Stream& stream) const {
  if (to.dtype() == DType::kF32) {
    copy(host, to, stream);
    return;
  }
  const Tensor staged = staging.make<float>(host.shape());
  copy(host, staged, stream);
  cast(staged, to, stream);
}

Tensor DeviceChainWeights::upload(const Tensor& host, DType dtype, Arena& staging, const Stream& stream) {
  if (host.elements() == 0) return {};
  const Tensor to = memory_.make(dtype, host.shape());
  upload_into(host, to, staging, stream);
  return to;
}

TrainedTensor DeviceChainWeights::upload(const TrainedTensor& host, DType dtype, Arena& staging, const Stream& stream) {
  if (host.value.elements() == 0) return {};
  return {upload(host.value, dtype, staging, stream), make_gradient(host.value.shape())};
}

DeviceExpertWeights DeviceChainWeights::upload(std::span<const ExpertWeights> host, std::int64_t width,
                                               std::int64_t hidden, Arena& staging, const Stream& stream) {
  const auto count = static_cast<std::int64_t>(host.size());
  const Shape gate_up{count, 2 * width, hidden}, down{count, hidden, width};
  const DeviceExpertWeights to{{memory_.make(dtype_, gate_up), make_gradient(gate_up)},
                               {memory_.make(dtype_, down), make_gradient(down)}};
  for (std::int64_t e = 0; e < count; ++e) {
    ArenaScope one(staging);
    upload_into(host[static_cast<std::size_t>(e)].gate_up, to.gate_up.value[e], staging, stream);
    upload_into(host[static_cast<std::size_t>(e)].down, to.down.value[e], staging, stream);
  }
  return to;
}

void DeviceChainWeights::zero_gradients(const Stream& stream) const {
  for (const Tensor& gradient : gradients_) {
    if (gradient.elements() > 0) clear(gradient, stream);
  }
}

void DeviceChainWeights::read_gradients(const ChainWeights& host, const Stream& stream) const {
  for (std::size_t t = 0; t < gates_.size(); ++t) {
    copy(gates_[t].weight.gradient, host.gates[t].weight.gradient, stream);
    copy(gates_[t].noise.gradient, host.gates[t].noise.gradient, stream);
  }
  for (std::size_t t = 0; t < norms_.size(); ++t) copy(norms_[t].gradient, host.norms[t].gradient, stream);
  const auto read = [&](const DeviceExpertWeights& from, std::span<const ExpertWeights> to) {
    for (std::int64_t e = 0; e < from.count(); ++e) {
      copy(from.gate_up.gradient[e], to[static_cast<std::size_t>(e)].gate_up_gradient, stream);
      copy(from.down.gradient[e], to[static_cast<std::size_t>(e)].down_gradient, stream);
    }
  };
  read(experts_, host.experts);
  if (shared_) read(*shared_, {&*host.shared, 1});
}

}  // namespace coe
