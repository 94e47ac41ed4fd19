#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/routing/routing_context.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/slow_admission.h"
#include "tests/runtime/routing/slow_balance.h"

namespace coe {

/// A chain layer in double, token by token, on all sequences at once.
struct SlowChain {
  LayerConfig config;
  std::size_t length = 0;  ///< tokens of a sequence
  double l1_coeff = 0;
  std::optional<StepRandom> random = {};
  std::vector<Share> parts = {};                ///< of the tokens, each with a capacity of its own; none: all together
  std::map<std::string, Doubles> weights = {};  ///< by name, as chain_specs() has them

  Doubles forward(const Doubles& x0, double& balance) const {
    Doubles x = x0;
    for (std::int64_t t = 0; t < config.iterations; ++t) x = iterate(t, x, balance);
    for (std::size_t i = 0; config.residual == Residual::kOuter && i < x.size(); ++i) x[i] += x0[i];
    return x;
  }

  /// <dy, y> plus the balance losses: the loss whose gradients the layer's backward gives.
  double loss(const Doubles& x, const Doubles& dy) const {
    double balance = 0;
    const Doubles y = forward(x, balance);
    return slow_dot(dy, y) + balance;
  }

  Doubles gradient_of_input(const Doubles& x, const Doubles& dy) const {
    return slow_gradient([&](const Doubles& moved) { return loss(moved, dy); }, x);
  }
  Doubles gradient_of(const std::string& name, const Doubles& x, const Doubles& dy) const {
    SlowChain varied = *this;
    return slow_gradient(
        [&](const Doubles& moved) {
          varied.weights[name] = moved;
          return varied.loss(x, dy);
        },
        weights.at(name));
  }

 private:
  std::size_t hidden() const { return static_cast<std::size_t>(config.hidden); }
  Doubles feed_forward(const std::string& prefix, const Doubles& x) const {
    return slow_swiglu(weights.at(prefix + "gate_proj.weight"), weights.at(prefix + "up_proj.weight"),
                       weights.at(prefix + "down_proj.weight"), x);
  }

  /// One token's choices by its scores and their ranking.
  std::vector<Choice> choose(const Doubles& s, const Doubles& ranking) const {
    std::vector<Choice> choices;
    if (config.router == RouterKind::kRelu) {
      for (std::size_t i = 0; i < s.size(); ++i) {
        if (s[i] > 0) choices.push_back({static_cast<std::int32_t>(i), s[i], s[i], true});
      }
      return choices;
    }
    double sum = 0;
    for (const std::size_t i : slow_topk(ranking, static_cast<std::size_t>(config.top_k))) {
      choices.push_back({static_cast<std::int32_t>(i), s[i] * config.routed_scaling_factor, s[i], true});
      sum += s[i];
    }
    for (Choice& choice : choices) choice.weight /= config.norm_topk_prob && config.top_k > 1 ? sum : 1;
    return choices;
  }

  /// Scores with their bias, and minus infinity outside the groups that are kept.
  Doubles ranking_of(const Doubles& s, std::int64_t t) const {
    Doubles ranking = s;
    const auto bias = weights.find("router_bias." + std::to_string(t));
    for (std::size_t i = 0; bias != weights.end() && i < s.size(); ++i) ranking[i] += bias->second[i];
    const auto groups = static_cast<std::size_t>(config.groups), each = s.size() / groups;
    Doubles worth;
    for (std::size_t g = 0; g < groups; ++g) {
      Doubles group = slow_row(ranking, each, g);
      std::ranges::sort(group, std::greater<>());
      worth.push_back(group[0] + (each > 1 ? group[1] : 0));
    }
    const auto kept = slow_topk(worth, static_cast<std::size_t>(config.groups_kept));
    for (std::size_t i = 0; i < s.size(); ++i) {
      if (std::ranges::find(kept, i / each) == kept.end()) ranking[i] = -std::numeric_limits<double>::infinity();
    }
    return ranking;
  }

  /// Element `index` of a [tokens, width] tensor of random numbers.
  float drawn(RoutingDraw purpose, std::int64_t t, std::size_t index) const {
    Arena arena;
    const Tensor one = arena.make<float>({1});
    const RandomKey key = routing_key(*random, t, purpose);
    const float eps = config.router_jitter;
    if (purpose == RoutingDraw::kJitter) fill_uniform(one, key, 1 - eps, 1 + eps, index);
    if (purpose == RoutingDraw::kNoise) fill_normal(one, key, 0, 1, index);
    return one.data<float>()[0];
  }

  /// What the gate of iteration t makes of a token.
  Doubles logits_of(Doubles row, std::int64_t t, std::size_t token) const {
    const std::string number = std::to_string(config.gate == GateSharing::kShared ? 0 : t) + ".weight";
    for (std::size_t d = 0; random && config.router_jitter > 0 && d < row.size(); ++d) {
      row[d] *= drawn(RoutingDraw::kJitter, t, token * row.size() + d);
    }
    Doubles z = slow_product(weights.at("gate." + number), row);
    if (!random || !config.router_noise) return z;
    const Doubles spread = slow_product(weights.at("noise." + number), row);
    for (std::size_t i = 0; i < z.size(); ++i) {
      z[i] += drawn(RoutingDraw::kNoise, t, token * z.size() + i) * std::log1p(std::exp(spread[i]));
    }
    return z;
  }

  Doubles iterate(std::int64_t t, const Doubles& x, double& balance) const {
    const std::size_t tokens = x.size() / hidden();
    std::vector<Doubles> rows;
    std::vector<RankedToken> ranked;
    Choices choices;
    Doubles logits, ranking;
    for (std::size_t token = 0; token < tokens; ++token) {
      rows.push_back(slow_row(x, hidden(), token));
      if (config.iteration_norm) {
        const Doubles& norm = weights.at("norm." + std::to_string(t) + ".weight");
        rows.back() = slow_rms_norm(rows.back(), norm, static_cast<double>(config.norm_eps));
      }
      const Doubles z = logits_of(rows.back(), t, token);
      logits.insert(logits.end(), z.begin(), z.end());
      const Doubles s = slow_scores(config.router, z);
      ranked.push_back({s, ranking_of(s, t)});
      ranking.insert(ranking.end(), ranked.back().ranking.begin(), ranked.back().ranking.end());
      choices.push_back(choose(s, ranked.back().ranking));
    }
    balance += slow_balance(config, length, l1_coeff, logits, ranking);
    admit_by_parts(ranked, choices);

    Doubles next = config.residual == Residual::kInner ? x : Doubles(x.size(), 0.0);
    for (std::size_t token = 0; token < tokens; ++token) add_experts(rows[token], choices[token], token, next);
    return next;
  }

  /// Capacity counts the tokens of each part by themselves.
  void admit_by_parts(const std::vector<RankedToken>& ranked, Choices& choices) const {
    const std::vector<Share> whole = {{0, std::ssize(choices)}};
    for (const Share& part : parts.empty() ? whole : parts) {
      Choices some = part_of(choices, part);
      slow_admission(config, part_of(ranked, part), some);
      std::ranges::copy(some, choices.begin() + part.first);
    }
  }

  void add_experts(const Doubles& row, const std::vector<Choice>& choices, std::size_t token, Doubles& next) const {
    const auto add = [&](double weight, const Doubles& out) {
      for (std::size_t i = 0; i < out.size(); ++i) next[token * hidden() + i] += weight * out[i];
    };
    for (const Choice& choice : choices) {
      if (!choice.kept) continue;
      add(choice.weight, feed_forward("experts." + std::to_string(choice.expert) + ".", row));
    }
    if (config.shared_experts > 0) add(1, feed_forward("shared_experts.", row));
  }
};

}  // namespace coe
