#include "runtime/routing/device_gate.h"

#include "kernels/memory/copy.h"
#include "kernels/products/linear.h"
#include "kernels/routing/balance_loss.h"
#include "kernels/routing/buckets.h"
#include "kernels/routing/router_noise.h"

namespace coe {
namespace {

/// The counter of this rank's first number of `width` a token, counted over the step.
std::uint64_t first_counter(const StepRandom& random, const Batch& batch, std::int64_t width) {
  return static_cast<std::uint64_t>((random.first_sequence + batch.first_sequence) * batch.length * width);
}

Tensor workspace_of(const Tensor& weight, std::int64_t tokens, Arena& arena) {
  return arena.make<std::uint8_t>({cuda::linear_workspace_bytes(tokens, weight.extent(0), weight.extent(1))});
}

}  // namespace

DeviceGate::DeviceGate(const LayerConfig& config, int layer, int iteration, const GateWeights& weights)
    : config_(config), place_(layer * config.iterations + iteration), weights_(weights) {}

cuda::TopkRule DeviceGate::rule() const {
  return {.top_k = config_.top_k,
          .groups = config_.groups,
          .groups_kept = config_.groups_kept,
          .sigmoid = config_.router == RouterKind::kSigmoidTopk,
          .normalise = config_.normalises_weights(),
          .scale = config_.routed_scaling_factor};
}

DeviceRouted DeviceGate::forward(const Tensor& x, const Batch& batch, const std::optional<StepRandom>& random,
                                 const Tensor& none, Arena& arena, const Stream& stream) const {
  const std::int64_t tokens = x.extent(0), choices = tokens * (relu() ? config_.experts : config_.top_k);
  DeviceRouted routed;
  routed.x = x;
  routed.random = random;
  const Tensor logits = arena.make<float>({tokens, config_.experts});
  routed.scores.score = logits;
  routed.lost = arena.make<std::int32_t>({1});
  routed.choices = {arena.make<std::int32_t>({tokens + 1}),
                    arena.make<std::int32_t>({choices}),
                    arena.make<float>({choices}),
                    arena.make<float>({choices}),
                    {}};
  copy(none, routed.lost, stream);
  if (jitters(random)) {
    routed.x = arena.make(x.dtype(), x.shape());
    cuda::jitter(x, routing_key(*random, place_, RoutingDraw::kJitter), config_.router_jitter,
                 first_counter(*random, batch, x.extent(1)), routed.x, stream);
  }
  const Tensor workspace = workspace_of(weights_.weight.value, tokens, arena);
  cuda::linear(routed.x, weights_.weight.value, logits, workspace, stream);
  if (random && weights_.noise.value.elements() > 0) {
    routed.noise_slope = arena.make<float>(logits.shape());
    cuda::linear(routed.x, weights_.noise.value, routed.noise_slope, workspace, stream);
    cuda::add_router_noise(logits, routed.noise_slope, routing_key(*random, place_, RoutingDraw::kNoise),
                           first_counter(*random, batch, config_.experts), stream);
  }
  if (relu()) {
    cuda::route_relu(logits, logits, routed.choices, routed.lost, stream);
    return routed;
  }
  const cuda::TopkRule rule = this->rule();
  const bool z_loss = config_.z_loss_coeff != 0;
  if (rule.sigmoid) routed.scores.sum = arena.make<float>({tokens});
  if (rule.sigmoid && z_loss) routed.scores.probability = arena.make<float>(logits.shape());
  if (!rule.sigmoid || z_loss) routed.scores.logsumexp = arena.make<float>({tokens});
  cuda::route_topk(logits, weights_.bias, rule, routed.scores, routed.choices, routed.lost, stream);
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
  cuda::add_balance_loss(routed.scores, routed.balance, routed.z_scale, partial, loss, stream);
}

void DeviceGate::backward(const DeviceRouted& routed, const Batch& batch, const Tensor& dweight, const Tensor& dx,
                          Arena& arena, const Stream& stream) const {
  if (dx.extent(0) == 0) return;
  ArenaScope scratch(arena);
  const Tensor dlogits = arena.make<float>(routed.scores.score.shape());
  if (relu()) {
    cuda::route_relu_backward(routed.choices, dweight, routed.balance, dlogits, stream);
  } else {
    cuda::route_topk_backward(routed.scores, routed.choices, rule(), dweight, routed.balance, routed.z_scale, dlogits,
                              stream);
  }
  if (!jitters(routed.random)) return products_backward(routed, dlogits, 1, dx, arena, stream);
  const Tensor jittered = arena.make(dx.dtype(), dx.shape());
  products_backward(routed, dlogits, 0, jittered, arena, stream);
  cuda::jitter_backward(jittered, routing_key(*routed.random, place_, RoutingDraw::kJitter), config_.router_jitter,
                        first_counter(*routed.random, batch, dx.extent(1)), dx, stream);
}

void DeviceGate::products_backward(const DeviceRouted& routed, const Tensor& dlogits, float beta, const Tensor& dx,
                                   Arena& arena, const Stream& stream) const {
  const auto add_gradients = [&](const TrainedTensor& weight, const Tensor& dy, float kept) {
    ArenaScope scratch(arena);
    const Tensor narrow = dx.dtype() == DType::kF32 ? dy : arena.make(dx.dtype(), dy.shape());
    if (dx.dtype() != DType::kF32) cast(dy, narrow, stream);
    const Tensor workspace = workspace_of(weight.value, dx.extent(0), arena);
    cuda::linear_input_gradient(narrow, weight.value, kept, dx, workspace, stream);
    cuda::linear_weight_gradient(narrow, routed.x, weight.gradient, workspace, stream);
  };
  add_gradients(weights_.weight, dlogits, beta);
  if (routed.noise_slope.elements() == 0) return;
  cuda::router_noise_backward(routed.noise_slope, dlogits, dlogits, stream);
  add_gradients(weights_.noise, dlogits, 1);
}

}  // namespace coe
