#include "runtime/layer/layer_size.h"

#include <algorithm>

#include "kernels/products/gemm.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/routing/admission.h"

namespace coe {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

/// A layer's extents on one rank.
struct Extents {
  Extents(const LayerConfig& layer, const LayerUse& wanted)
      : config(layer),
        use(wanted),
        experts((layer.experts + wanted.ranks - 1) / wanted.ranks),
        choices(wanted.tokens * (layer.router == RouterKind::kRelu ? layer.experts / 2 : layer.top_k)),
        rows(rows_of()) {}

  std::int64_t rows_of() const {
    const std::int64_t all = choices * use.ranks, even = all * experts / config.experts;
    const std::int64_t more = use.learning && config.router != RouterKind::kRelu ? even : even / 16;
    if (config.drop_policy == DropPolicy::kNone) return std::min(all, even + more);
    const std::int64_t rounding = config.capacity_scope == CapacityScope::kRank ? use.ranks - 1 : 0;
    const std::int64_t room = experts * (capacity_of(config, use.tokens * use.ranks) + rounding);
    return config.pad_to_capacity ? room : std::min(all, room);
  }

  std::int64_t token_rows() const { return use.tokens * config.hidden; }
  std::int64_t scores() const { return use.tokens * config.experts; }

  const LayerConfig& config;
  const LayerUse& use;
  std::int64_t experts, choices, rows;
};

std::int64_t expert_weights(const LayerConfig& config) {
  return packed_size(config.hidden, 2 * config.expert_hidden) + packed_size(config.expert_hidden, config.hidden);
}

/// The x of an iteration, normed, and what its gate makes of it.
std::int64_t entry_floats(const Extents& at) {
  const LayerConfig& config = at.config;
  const bool ranked = config.router_bias || config.groups_kept != config.groups;
  std::int64_t floats = at.token_rows() + config.experts * config.hidden + at.scores() * (ranked ? 2 : 1);
  if (config.router == RouterKind::kSigmoidTopk && config.z_loss_coeff != 0) {
    floats += at.scores() + at.use.tokens;
  }
  if (config.iteration_norm) floats += at.token_rows() + at.use.tokens;
  if (config.router_jitter > 0 && at.use.backward) floats += at.token_rows();
  if (config.router_noise && at.use.backward) floats += at.scores() + config.experts * config.hidden;
  return floats + 2 * at.use.tokens + at.choices * 7 / 2;
}

/// From an iteration's plan to its combine.
std::int64_t pass_floats(const Extents& at) {
  const LayerConfig& config = at.config;
  const std::int64_t shared = config.shared_experts * config.expert_hidden;
  return at.use.ranks * 2 * at.experts + 4 * at.choices + 2 * at.rows * config.expert_hidden +
         (shared > 0 ? at.token_rows() + 2 * at.use.tokens * shared : 0);
}

/// What a backward has at once beside what was saved for it.
std::int64_t backward_floats(const Extents& at) {
  const std::int64_t products = at.rows / std::max<std::int64_t>(1, at.experts) * at.config.expert_hidden;
  const std::int64_t gradients = std::min<std::int64_t>(at.config.iterations, 2) + (at.config.iteration_norm ? 1 : 0) +
                                 (at.config.shared_experts > 0 ? 1 : 0);
  return at.token_rows() * gradients + at.choices + std::max(products, at.scores());
}

/// Experts that a token can choose.
std::int64_t most_chosen(const LayerConfig& config) {
  return config.router == RouterKind::kRelu ? config.experts : config.top_k;
}

}  // namespace

std::int64_t most_of_an_expert(const LayerConfig& config, std::int64_t tokens, int ranks) {
  if (config.drop_policy == DropPolicy::kNone) return 0;
  return capacity_of(config, tokens) + (config.capacity_scope == CapacityScope::kRank ? ranks - 1 : 0);
}

std::int64_t most_rows(const LayerConfig& config, const Placement& placement, std::int64_t tokens) {
  const std::int64_t limit = most_of_an_expert(config, tokens, placement.ranks());
  return config.pad_to_capacity ? placement.most_held() * limit
                                : most_rows(placement, tokens, most_chosen(config), limit);
}

std::int64_t message_rows(const LayerConfig& config, const Placement& placement, std::int64_t rank_tokens,
                          std::int64_t tokens) {
  const bool own = config.drop_policy != DropPolicy::kNone && config.capacity_scope == CapacityScope::kRank;
  const std::int64_t limit =
      own ? capacity_of(config, rank_tokens) : most_of_an_expert(config, tokens, placement.ranks());
  return most_rows(placement, rank_tokens, most_chosen(config), limit);
}

LayerSize layer_size(const LayerConfig& config, const LayerUse& use) {
  const Extents at(config, use);
  const std::int64_t iterations = config.iterations, passes = use.backward ? iterations : 1;
  const std::int64_t forward = iterations * entry_floats(at) + passes * pass_floats(at);
  const std::int64_t floats = forward + (use.backward ? backward_floats(at) : 0);
  // Rows that arrived forward, where a backward needs them; those that pass through take two places in turn, as do
  // results.
  const std::int64_t passing = std::min<std::int64_t>(iterations, 2), results = std::min(iterations, use.in_flight);
  const std::int64_t places = passing + results + (use.backward ? iterations : 0);
  return {.rows = at.rows,
          .arena_bytes = static_cast<std::size_t>(kFloat * floats),
          .saved_bytes = use.backward ? static_cast<std::size_t>(kFloat * forward) : 0,
          .window_bytes = static_cast<std::size_t>(kFloat * places * at.rows * (config.hidden + 1)),
          .mail_bytes = static_cast<std::size_t>(kFloat * results * (at.choices * use.elsewhere / use.ranks) *
                                                 (config.hidden + 1)),
          .packed_bytes = use.packed ? static_cast<std::size_t>(kFloat * at.experts * expert_weights(config)) : 0};
}

}  // namespace coe
