#include "runtime/routing/balance.h"

#include <algorithm>

#include "kernels/routing/balance_loss.h"
#include "kernels/routing/buckets.h"

namespace coe {
namespace {

/// What the gradient with respect to an expert's score is, per time that the expert was chosen.
double per_sequence_count(const LayerConfig& config, const Batch& batch) {
  const double frequency = static_cast<double>(config.experts) / static_cast<double>(batch.length * config.top_k);
  return batch.share * config.balance_loss_coeff / static_cast<double>(batch.world_tokens()) * frequency;
}

/// The same per time in the world, by the loss's coefficient.
double per_world_count(const LayerConfig& config, const Batch& batch) {
  const auto tokens = static_cast<double>(batch.world_tokens()), top_k = static_cast<double>(config.top_k);
  return batch.share * static_cast<double>(config.experts) / (top_k * tokens * tokens);
}

/// How often each sequence chose each expert, int32 [B, N].
Tensor count_by_sequence(const Routed& routed, const Batch& batch, Arena& arena, const Stream& stream) {
  const std::int64_t experts = routed.routing.experts;
  const Tensor counts = arena.make<std::int32_t>({batch.sequences, experts});
  if (!counts.on_host()) {
    cuda::count_buckets(routed.routing.offsets, routed.routing.expert, {}, counts, stream);
    return counts;
  }
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    count_choices(routed.routing, b * batch.length, batch.length, counts[b].span<std::int32_t>());
  }
  return counts;
}

template <class Count>
void scale_there(const Tensor& counts, double scale, const Tensor& factor) {
  std::ranges::transform(counts.span<Count>(), factor.data<float>(),
                         [=](Count n) { return static_cast<float>(scale * static_cast<double>(n)); });
}

/// factor = scale times counts, of whatever type the counts are; times coeff, fp64 [1], where that is not empty.
void scale_counts(const Tensor& counts, double scale, const Tensor& coeff, const Tensor& factor, const Stream& stream) {
  if (!counts.on_host()) return cuda::scale_counts(counts.reshaped(factor.shape()), scale, coeff, factor, stream);
  if (coeff.elements() > 0) scale = *coeff.data<double>() * scale;
  if (counts.dtype() == DType::kI64) return scale_there<std::int64_t>(counts, scale, factor);
  scale_there<std::int32_t>(counts, scale, factor);
}

/// sum over the rows' scores of factor[i] * s_i, by their sum where there is one, in double and row order.
double weighted_scores(const Routed& routed, std::int64_t first, std::int64_t rows, const float* factor) {
  const std::int64_t experts = routed.scores.extent(1);
  const bool shares = routed.score_sum.elements() > 0;
  double sum = 0;
  for (std::int64_t t = first; t < first + rows; ++t) {
    const float* row = routed.scores.data<float>() + t * experts;
    const double divisor = shares ? static_cast<double>(routed.score_sum.data<float>()[t]) : 1.0;
    for (std::int64_t i = 0; i < experts; ++i) sum += static_cast<double>(factor[i]) * row[i] / divisor;
  }
  return sum;
}

double loss_of(const BalanceGradient& gradient, double z_coeff, const Routed& routed) {
  double loss = 0;
  const std::int64_t runs = gradient.score.elements() > 0 ? gradient.score.extent(0) : 0;
  for (std::int64_t b = 0; b < runs; ++b) {
    const std::int64_t tokens = routed.routing.tokens() / runs;
    loss += weighted_scores(routed, b * tokens, tokens, gradient.score.data<float>() + b * routed.routing.experts);
  }
  if (z_coeff == 0) return loss;
  for (const float z : routed.logsumexp.span<float>()) loss += z_coeff * static_cast<double>(z) * z;
  return loss;
}

}  // namespace

bool needs_world_counts(const LayerConfig& config) {
  return config.router == RouterKind::kRelu || config.balance_loss == BalanceLoss::kBatch;
}

BalanceGradient add_balance_loss(const LayerConfig& config, const RoutingContext& context, const Routed& routed,
                                 const Tensor& world_counts, const Batch& batch, const Tensor& loss, Arena& arena,
                                 const Stream& stream) {
  BalanceGradient gradient;
  if (batch.world_tokens() == 0) return gradient;
  const bool relu = config.router == RouterKind::kRelu;
  const bool by_sequence = !relu && config.balance_loss == BalanceLoss::kSequence;
  const double z_coeff = relu ? 0 : batch.share * config.z_loss_coeff / static_cast<double>(batch.world_tokens());
  gradient.z_scale = static_cast<float>(z_coeff);
  if (by_sequence || needs_world_counts(config)) {
    gradient.score = arena.make<float>({by_sequence ? batch.sequences : 1, config.experts});
  } else if (z_coeff == 0) {
    return gradient;
  }
  if (batch.tokens() == 0) return gradient;

  ArenaScope scratch(arena);
  if (by_sequence) {
    const Tensor counts = count_by_sequence(routed, batch, arena, stream);
    scale_counts(counts, per_sequence_count(config, batch), {}, gradient.score, stream);
  } else if (relu) {
    const Tensor coeff = numbers_of(context, batch.length, arena, stream).l1_coeff;
    scale_counts(world_counts, per_world_count(config, batch), coeff, gradient.score, stream);
  } else if (gradient.score.elements() > 0) {
    scale_counts(world_counts, config.balance_loss_coeff * per_world_count(config, batch), {}, gradient.score, stream);
  }
  if (loss.on_host()) {
    *loss.data<double>() += loss_of(gradient, z_coeff, routed);
    return gradient;
  }
  const Tensor partial = arena.make<double>({cuda::kLossParts});
  cuda::add_balance_loss(routed.on_device(), gradient.score, gradient.z_scale, partial, loss, stream);
  return gradient;
}

}  // namespace coe
