#include "runtime/routing/balance.h"

#include <algorithm>

namespace coe {
namespace {

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

Balance sequence_loss(const LayerConfig& config, const Routed& routed, const Batch& batch, Arena& arena) {
  const std::int64_t experts = config.experts, length = batch.length;
  Balance balance;
  balance.gradient.score = arena.make<float>({batch.sequences, experts});
  ArenaScope scratch(arena);
  const auto counts = arena.make<std::int32_t>({experts}).span<std::int32_t>();
  const double frequency = static_cast<double>(experts) / static_cast<double>(length * config.top_k);
  const double per_score = batch.share * config.balance_loss_coeff / static_cast<double>(batch.world_tokens());
  for (std::int64_t b = 0; b < batch.sequences; ++b) {
    count_choices(routed.routing, b * length, length, counts);
    float* row = balance.gradient.score.data<float>() + b * experts;
    std::ranges::transform(counts, row, [&](std::int32_t n) { return static_cast<float>(per_score * frequency * n); });
    balance.loss += weighted_scores(routed, b * length, length, row);
  }
  return balance;
}

/// A loss whose gradient is one number per expert: `per_count` times how often the expert was chosen by anyone.
Balance counted_loss(double per_count, const Routed& routed, std::span<const std::int64_t> counts, Arena& arena) {
  Balance balance;
  balance.gradient.score = arena.make<float>({1, routed.routing.experts});
  float* row = balance.gradient.score.data<float>();
  std::ranges::transform(counts, row,
                         [&](std::int64_t n) { return static_cast<float>(per_count * static_cast<double>(n)); });
  balance.loss = weighted_scores(routed, 0, routed.routing.tokens(), row);
  return balance;
}

void add_z_loss(const LayerConfig& config, const Routed& routed, const Batch& batch, Balance& balance) {
  const double per_token = batch.share * config.z_loss_coeff / static_cast<double>(batch.world_tokens());
  for (const float z : routed.logsumexp.span<float>()) balance.loss += per_token * static_cast<double>(z) * z;
  balance.gradient.z_scale = static_cast<float>(per_token);
}

}  // namespace

bool needs_world_counts(const LayerConfig& config) {
  return config.router == RouterKind::kRelu || config.balance_loss == BalanceLoss::kBatch;
}

Balance balance_loss(const LayerConfig& config, double l1_coeff, const Routed& routed,
                     std::span<const std::int64_t> world_counts, const Batch& batch, Arena& arena) {
  const auto tokens = static_cast<double>(batch.world_tokens()), top_k = static_cast<double>(config.top_k);
  if (batch.world_tokens() == 0) return {};
  const double per_token_and_choice = batch.share * static_cast<double>(config.experts) / (top_k * tokens * tokens);
  if (config.router == RouterKind::kRelu) {
    return counted_loss(l1_coeff * per_token_and_choice, routed, world_counts, arena);
  }
  Balance balance;
  if (config.balance_loss == BalanceLoss::kSequence) balance = sequence_loss(config, routed, batch, arena);
  if (config.balance_loss == BalanceLoss::kBatch) {
    balance = counted_loss(config.balance_loss_coeff * per_token_and_choice, routed, world_counts, arena);
  }
  if (config.z_loss_coeff != 0) add_z_loss(config, routed, batch, balance);
  return balance;
}

}  // namespace coe
