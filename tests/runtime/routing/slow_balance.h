#pragma once

#include <cmath>
#include <cstddef>

#include "runtime/config/config.h"
#include "tests/runtime/routing/oracle.h"

namespace coe {

/// A router's scores of one token; of ReLU's those that are not positive are not chosen.
inline Doubles slow_scores(RouterKind router, const Doubles& logits) {
  if (router == RouterKind::kRelu) return logits;
  return router == RouterKind::kSigmoidTopk ? slow_sigmoid(logits) : slow_softmax(logits);
}

/// The balance, z or L1 loss of one iteration over whole sequences of `length` tokens, which choose by `ranking`, as
/// long as the logits, or without one by their scores.
inline double slow_balance(const LayerConfig& config, std::size_t length, double l1_coeff, const Doubles& logits,
                           const Doubles& ranking = {}) {
  const auto experts = static_cast<std::size_t>(config.experts);
  const bool relu = config.router == RouterKind::kRelu;
  const bool per_sequence = !relu && config.balance_loss == BalanceLoss::kSequence;
  const std::size_t tokens = logits.size() / experts, window = per_sequence ? length : tokens;
  const auto n = static_cast<double>(experts), k = static_cast<double>(config.top_k), w = static_cast<double>(window);
  double loss = 0;
  for (std::size_t first = 0; first < tokens; first += window) {
    Doubles count(experts, 0.0), score(experts, 0.0);
    for (std::size_t t = first; t < first + window; ++t) {
      Doubles s = slow_row(logits, experts, t);
      if (!relu) loss += config.z_loss_coeff * std::pow(slow_logsumexp(s), 2) / static_cast<double>(tokens);
      if (!relu) s = slow_shares(slow_scores(config.router, s));
      for (std::size_t i = 0; relu && i < experts; ++i) count[i] += s[i] > 0 ? 1 : 0;
      for (std::size_t i = 0; relu && i < experts; ++i) s[i] = std::max(s[i], 0.0);
      const Doubles by = ranking.empty() ? s : slow_row(ranking, experts, t);
      for (const std::size_t i : slow_topk(by, relu ? 0 : static_cast<std::size_t>(config.top_k))) count[i] += 1;
      for (std::size_t i = 0; i < experts; ++i) score[i] += s[i];
    }
    if (!relu && config.balance_loss == BalanceLoss::kNone) continue;
    const double coeff = relu ? l1_coeff : static_cast<double>(config.balance_loss_coeff);
    loss += coeff * n / (k * w * w) * slow_dot(count, score) * w / static_cast<double>(tokens);
  }
  return loss;
}

}  // namespace coe
