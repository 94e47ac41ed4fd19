#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "runtime/routing/routing.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {

/// One expert of one token.
struct Choice {
  std::int32_t expert = 0;
  double weight = 1, score = 0;
  bool kept = true;
  bool chosen = true;  ///< by the router, not by rerouting
};

/// Choices by token, in ascending expert id.
using Choices = std::vector<std::vector<Choice>>;

inline Routing routing_of(std::int64_t experts, const Choices& tokens, Arena& arena) {
  std::vector<std::int32_t> offsets = {0}, expert;
  std::vector<float> weight, score;
  std::vector<std::uint8_t> chosen, kept;
  for (const std::vector<Choice>& token : tokens) {
    for (const Choice& choice : token) {
      expert.push_back(choice.expert);
      weight.push_back(static_cast<float>(choice.weight));
      score.push_back(static_cast<float>(choice.score));
      chosen.push_back(choice.chosen ? 1 : 0);
      kept.push_back(choice.kept ? 1 : 0);
    }
    offsets.push_back(static_cast<std::int32_t>(expert.size()));
  }
  const Shape choices{static_cast<std::int64_t>(expert.size())};
  return {.experts = experts,
          .offsets = tensor_of<std::int32_t>({static_cast<std::int64_t>(offsets.size())}, offsets, arena),
          .expert = tensor_of<std::int32_t>(choices, expert, arena),
          .weight = tensor_of<float>(choices, weight, arena),
          .score = tensor_of<float>(choices, score, arena),
          .chosen = tensor_of<std::uint8_t>(choices, chosen, arena),
          .kept = tensor_of<std::uint8_t>(choices, kept, arena)};
}

/// Between `fewest` and `most` experts for each token; weights in (0, 1], scores in quarters, so that many are equal.
inline Choices random_choices(std::int64_t tokens, std::int32_t experts, std::int32_t fewest, std::int32_t most,
                              std::mt19937& random) {
  Choices all(static_cast<std::size_t>(tokens));
  std::vector<std::int32_t> ids(static_cast<std::size_t>(experts));
  for (std::int32_t e = 0; e < experts; ++e) ids[static_cast<std::size_t>(e)] = e;
  for (std::vector<Choice>& token : all) {
    std::ranges::shuffle(ids, random);
    const int count = std::uniform_int_distribution(fewest, most)(random);
    for (int i = 0; i < count; ++i) {
      const auto eighths = static_cast<double>(random() % 8 + 1), quarters = static_cast<double>(random() % 4);
      token.push_back({ids[static_cast<std::size_t>(i)], eighths / 8, quarters / 4, true});
    }
    std::ranges::sort(token, {}, &Choice::expert);
  }
  return all;
}

/// Rows per (rank, expert), int32 [R, N], that the kept choices of each rank make (all choices where `kept_only` is
/// false).
inline Tensor table_of(const std::vector<Choices>& by_rank, std::int64_t experts, bool kept_only, Arena& arena) {
  const Tensor table = arena.zeros<std::int32_t>({static_cast<std::int64_t>(by_rank.size()), experts});
  auto* row = table.data<std::int32_t>();
  for (const Choices& tokens : by_rank) {
    for (const std::vector<Choice>& token : tokens) {
      for (const Choice& choice : token) row[choice.expert] += choice.kept || !kept_only ? 1 : 0;
    }
    row += experts;
  }
  return table;
}

}  // namespace coe
