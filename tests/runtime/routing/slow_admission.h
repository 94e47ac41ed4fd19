#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/config/config.h"
#include "tests/runtime/routing/oracle.h"
#include "tests/runtime/routing/routings.h"

namespace coe {

/// One token's scores of all experts and what they are ranked by; minus infinity where an expert is closed to it.
struct RankedToken {
  Doubles scores, ranking;
};

/// A token that asks for an expert.
struct SlowAsk {
  std::size_t token;
  std::int32_t expert;
  double score;
};

/// The asks that get a place where each expert has `room` left, which shrinks.
inline std::vector<SlowAsk> slow_grants(DropPolicy policy, std::vector<SlowAsk> asks, std::vector<std::int64_t>& room) {
  std::ranges::stable_sort(asks, [&](const SlowAsk& a, const SlowAsk& b) {
    if (policy == DropPolicy::kProbability && a.score != b.score) return a.score > b.score;
    return a.token < b.token;
  });
  std::vector<SlowAsk> granted;
  for (const SlowAsk& ask : asks) {
    if (room[static_cast<std::size_t>(ask.expert)]-- > 0) granted.push_back(ask);
  }
  for (std::int64_t& left : room) left = std::max<std::int64_t>(left, 0);
  return granted;
}

/// The untried expert that is ranked best; -1 where none is open.
inline std::int32_t slow_next_best(const RankedToken& token, const std::set<std::int32_t>& tried) {
  std::int32_t best = -1;
  double highest = -std::numeric_limits<double>::infinity();
  for (std::int32_t e = 0; e < std::ssize(token.ranking); ++e) {
    if (tried.contains(e) || token.ranking[static_cast<std::size_t>(e)] <= highest) continue;
    best = e;
    highest = token.ranking[static_cast<std::size_t>(e)];
  }
  return best;
}

/// Rerouting the slow obvious way, token by token and round by round.
inline void slow_reroute(const LayerConfig& config, const std::vector<RankedToken>& ranked,
                         std::vector<std::int64_t>& room, Choices& tokens) {
  std::vector<std::set<std::int32_t>> tried(tokens.size());
  std::vector<int> homeless(tokens.size());
  std::vector<double> sum(tokens.size());
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (const Choice& choice : tokens[t]) {
      tried[t].insert(choice.expert);
      homeless[t] += choice.kept ? 0 : 1;
      sum[t] += choice.score;
    }
  }
  for (std::int64_t round = 0; round < config.reroute_rounds; ++round) {
    std::vector<SlowAsk> asks;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      for (int i = 0; i < homeless[t]; ++i) {
        const std::int32_t expert = slow_next_best(ranked[t], tried[t]);
        if (expert < 0) continue;
        tried[t].insert(expert);
        asks.push_back({t, expert, ranked[t].scores[static_cast<std::size_t>(expert)]});
      }
    }
    for (const SlowAsk& ask : slow_grants(config.drop_policy, asks, room)) {
      --homeless[ask.token];
      const double weight =
          ask.score * config.routed_scaling_factor / (config.norm_topk_prob && config.top_k > 1 ? sum[ask.token] : 1);
      tokens[ask.token].push_back({ask.expert, weight, ask.score, true, false});
    }
  }
  for (std::vector<Choice>& token : tokens) std::ranges::sort(token, {}, &Choice::expert);
}

/// The fewest rows a share of which no expert exceeds by more than the factor, which has six decimal places.
inline std::int64_t slow_capacity(const LayerConfig& config, std::int64_t tokens) {
  const std::int64_t millionths = std::llround(config.capacity_factor * 1e6), choices = tokens * config.top_k;
  std::int64_t rows = 0;
  while (rows * config.experts * 1'000'000 < choices * millionths) ++rows;
  return rows;
}

/// Admission the slow obvious way: sorts all of an expert's choices, over all tokens, and keeps as many as it has room
/// for. `ranked` is only read where choices are rerouted.
inline void slow_admission(const LayerConfig& config, const std::vector<RankedToken>& ranked, Choices& tokens) {
  if (config.drop_policy == DropPolicy::kNone) return;
  std::vector<std::int64_t> room(static_cast<std::size_t>(config.experts), slow_capacity(config, std::ssize(tokens)));
  std::vector<SlowAsk> asks;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (const Choice& choice : tokens[t]) asks.push_back({t, choice.expert, choice.score});
  }
  std::set<std::pair<std::size_t, std::int32_t>> places;
  for (const SlowAsk& ask : slow_grants(config.drop_policy, asks, room)) places.emplace(ask.token, ask.expert);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (Choice& choice : tokens[t]) choice.kept = places.contains({t, choice.expert});
  }
  if (config.reroute_rounds > 0) slow_reroute(config, ranked, room, tokens);
}

}  // namespace coe
