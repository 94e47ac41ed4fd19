#include "runtime/device_gate.h"

#include "kernels/buckets.h"
#include "kernels/copy.h"
#include "kernels/linear.h"

namespace coe {

DeviceGate::DeviceGate(const LayerConfig& config, const GateWeights& weights) : config_(config), weights_(weights) {}

cuda::TopkRule DeviceGate::rule() const {
  return {.top_k = config_.top_k,
          .groups = config_.groups,
          .groups_kept = config_.groups_kept,
          .normalise = config_.norm_topk_prob,
          .scale = config_.routed_scaling_factor};
}

DeviceRouted DeviceGate::forward(const Tensor& x, const Tensor& none, Arena& arena, const Stream& stream) const {
  const std::int64_t tokens = x.extent(0), choices = tokens * (relu() ? config_.experts : config_.top_k);
  DeviceRouted routed;
  routed.scores = arena.make<float>({tokens, config_.experts});
  routed.lost = arena.make<std::int32_t>({1});
  routed.choices = {arena.make<std::int32_t>({tokens + 1}), arena.make<std::int32_t>({choices}),
                    arena.make<float>({choices}), arena.make<float>({choices})};
  copy(none, routed.lost, stream);
  cuda::linear(x, weights_.weight.value, routed.scores, stream);
  if (relu()) {
    cuda::route_relu(routed.scores, routed.scores, routed.choices, routed.lost, stream);
    return routed;
  }
  routed.logsumexp = arena.make<float>({tokens});
  cuda::route_softmax_topk(routed.scores, weights_.bias, rule(), routed.scores, routed.logsumexp, routed.choices,
                           routed.lost, stream);
  return routed;
}

void DeviceGate::balance(DeviceRouted& routed, const Tensor& table, const Batch& batch, double l1_coeff,
                         const Tensor& loss, Arena& arena, const Stream& stream) const {
  if (batch.tokens() == 0) return;
  const std::int64_t experts = config_.experts;
  const bool sequence = config_.balance_loss == BalanceLoss::kSequence && !relu();
  const bool counted = relu() || config_.balance_loss == BalanceLoss::kBatch;
  const auto tokens = static_cast<double>(batch.world_tokens()), top_k = static_cast<double>(config_.top_k);
  const double coeff = relu() ? l1_coeff : config_.balance_loss_coeff;
  if (sequence || counted) routed.balance = arena.make<float>({sequence ? batch.sequences : 1, experts});
  routed.z_scale = static_cast<float>(batch.share * config_.z_loss_coeff / tokens);
  if (!sequence && !counted && routed.z_scale == 0) return;

  ArenaScope scratch(arena);
  if (sequence) {
    const Tensor counts = arena.make<std::int32_t>({batch.sequences, experts});
    cuda::count_buckets(routed.choices.offsets, routed.choices.expert, {}, counts, stream);
    const double frequency = static_cast<double>(experts) / (static_cast<double>(batch.length) * top_k);
    cuda::scale_counts(counts, batch.share * coeff / tokens * frequency, routed.balance, stream);
  } else if (counted) {
    const Tensor totals = arena.make<std::int32_t>({experts});
    cuda::sum_sources(table, totals, stream);
    const double scale = batch.share * coeff * static_cast<double>(experts) / (top_k * tokens * tokens);
    cuda::scale_counts(totals.reshaped({1, experts}), scale, routed.balance, stream);
  }
  const Tensor partial = arena.make<double>({cuda::kLossParts});
  cuda::add_balance_loss(routed.scores, routed.balance, routed.logsumexp, routed.z_scale, partial, loss, stream);
}

void DeviceGate::backward(const DeviceRouted& routed, const Tensor& x, const Tensor& dweight, const Tensor& dx,
                          Arena& arena, const Stream& stream) const {
  if (x.extent(0) == 0) return;
  ArenaScope scratch(arena);
  Tensor dlogits = arena.make<float>(routed.scores.shape());
  if (relu()) {
    cuda::route_relu_backward(routed.choices, dweight, routed.balance, dlogits, stream);
  } else {
    cuda::route_softmax_topk_backward(routed.scores, routed.logsumexp, routed.choices, rule(), dweight, routed.balance,
                                      routed.z_scale, dlogits, stream);
  }
  if (x.dtype() != DType::kF32) {
    const Tensor narrow = arena.make(x.dtype(), dlogits.shape());
    cast(dlogits, narrow, stream);
    dlogits = narrow;
  }
  cuda::linear_input_gradient(dlogits, weights_.weight.value, 1, dx, stream);
  cuda::linear_weight_gradient(dlogits, x, weights_.weight.gradient, stream);
}

}  // namespace coe
