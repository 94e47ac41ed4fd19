#include "runtime/layer/copied_weights.h"

#include "comm/stream_meeting.h"
#include "kernels/memory/copy.h"

namespace coe {
namespace {

constexpr Phase kPhase{"copying weights to the device"};

}  // namespace

CopiedWeights::CopiedWeights(const LayerConfig& config, const ChainWeights& host, DType dtype, const Group& group,
                             const Stream& stream)
    : dtype_(dtype), memory_(0, stream.device()) {
  Arena staging(0, stream.device());
  for (std::size_t t = 0; t < host.gates.size(); ++t) {
    const GateWeights& gate = host.gates[t];
    // Iterations that share a gate share its gradient.
    const bool same = t > 0 && gate.weight.value.raw() == host.gates[t - 1].weight.value.raw();
    const TrainedTensor weight = same ? views_.gates.back().weight : upload(gate.weight, dtype, staging, stream);
    const TrainedTensor noise = same ? views_.gates.back().noise : upload(gate.noise, dtype, staging, stream);
    views_.gates.push_back({weight, noise, upload(gate.bias, DType::kF32, staging, stream)});
  }
  for (const TrainedTensor& norm : host.norms) views_.norms.push_back(upload(norm, DType::kF32, staging, stream));
  views_.experts = upload(host.experts, config.expert_hidden, config.hidden, staging, stream);
  if (host.shared) {
    const std::int64_t width = config.shared_experts * config.expert_hidden;
    views_.shared = upload({&*host.shared, 1}, width, config.hidden, staging, stream).front();
  }
  zero_gradients(stream);
  wait(group, stream, kPhase);  // the staging memory is in use until then
}

Tensor CopiedWeights::make_gradient(const Shape& shape) {
  gradients_.push_back(memory_.make<float>(shape));
  return gradients_.back();
}

void CopiedWeights::upload_into(const Tensor& host, const Tensor& to, Arena& staging, const Stream& stream) const {
  if (to.dtype() == DType::kF32) {
    copy(host, to, stream);
    return;
  }
  const Tensor staged = staging.make<float>(host.shape());
  copy(host, staged, stream);
  cast(staged, to, stream);
}

Tensor CopiedWeights::upload(const Tensor& host, DType dtype, Arena& staging, const Stream& stream) {
  if (host.elements() == 0) return {};
  const Tensor to = memory_.make(dtype, host.shape());
  upload_into(host, to, staging, stream);
  return to;
}

TrainedTensor CopiedWeights::upload(const TrainedTensor& host, DType dtype, Arena& staging, const Stream& stream) {
  if (host.value.elements() == 0) return {};
  return {upload(host.value, dtype, staging, stream), make_gradient(host.value.shape())};
}

std::vector<ExpertWeights> CopiedWeights::upload(std::span<const ExpertWeights> host, std::int64_t width,
                                                 std::int64_t hidden, Arena& staging, const Stream& stream) {
  const auto count = static_cast<std::int64_t>(host.size());
  const Shape gate_up{count, 2 * width, hidden}, down{count, hidden, width};
  const Tensor gate_ups = memory_.make(dtype_, gate_up), downs = memory_.make(dtype_, down);
  const Tensor gate_up_gradients = make_gradient(gate_up), down_gradients = make_gradient(down);
  std::vector<ExpertWeights> to;
  for (std::int64_t e = 0; e < count; ++e) {
    ArenaScope one(staging);
    to.push_back({gate_ups[e], downs[e], gate_up_gradients[e], down_gradients[e]});
    upload_into(host[static_cast<std::size_t>(e)].gate_up, to.back().gate_up, staging, stream);
    upload_into(host[static_cast<std::size_t>(e)].down, to.back().down, staging, stream);
  }
  return to;
}

void CopiedWeights::zero_gradients(const Stream& stream) const {
  for (const Tensor& gradient : gradients_) {
    if (gradient.elements() > 0) clear(gradient, stream);
  }
}

void CopiedWeights::read_gradients(const ChainWeights& host, const Stream& stream) const {
  for (std::size_t t = 0; t < host.gates.size(); ++t) {
    copy(views_.gates[t].weight.gradient, host.gates[t].weight.gradient, stream);
    copy(views_.gates[t].noise.gradient, host.gates[t].noise.gradient, stream);
  }
  for (std::size_t t = 0; t < host.norms.size(); ++t) copy(views_.norms[t].gradient, host.norms[t].gradient, stream);
  const auto read = [&](const ExpertWeights& from, const ExpertWeights& to) {
    copy(from.gate_up_gradient, to.gate_up_gradient, stream);
    copy(from.down_gradient, to.down_gradient, stream);
  };
  for (std::size_t e = 0; e < host.experts.size(); ++e) read(views_.experts[e], host.experts[e]);
  if (host.shared) read(*views_.shared, *host.shared);
}

}  // namespace coe
