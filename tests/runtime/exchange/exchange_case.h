#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory/random.h"
#include "runtime/config/config.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/routings.h"
#include "tests/runtime/routing/slow_admission.h"

namespace coe {

/// How often which expert is wanted.
enum class Skew { kEven, kZipf, kOneHot, kIdle };

/// One made-up chain layer's traffic: everything about it follows from these numbers, so that a case can be replayed
/// and made smaller.
struct ExchangeCase {
  std::uint64_t seed = 0;
  int ranks = 1;
  LayerConfig layer;
  Skew skew = Skew::kEven;
  bool fixed_choices = true;         ///< K a token; else any number up to K
  std::vector<std::int64_t> tokens;  ///< of each rank
  int together = 1;                  ///< flights under way at once

  std::int64_t all_tokens() const {
    std::int64_t sum = 0;
    for (const std::int64_t count : tokens) sum += count;
    return sum;
  }
  bool capacity_of_ranks() const { return layer.capacity_scope == CapacityScope::kRank; }

  std::string text() const {
    constexpr std::array<std::string_view, 4> kSkews{"even", "zipf", "one hot", "idle"};
    constexpr std::array<std::string_view, 3> kPolicies{"none", "position", "probability"};
    return fmt::format(
        "seed {}, {} ranks of {} tokens, D {}, N {}, K {}{}, C {}, {}, drop {} at {} of {}, {} reroute rounds{}, {} "
        "together",
        seed, ranks, tokens, layer.hidden, layer.experts, layer.top_k, fixed_choices ? "" : " at most",
        layer.iterations, kSkews[static_cast<std::size_t>(skew)],
        kPolicies[static_cast<std::size_t>(layer.drop_policy)], layer.capacity_factor,
        capacity_of_ranks() ? "a rank" : "the group", layer.reroute_rounds, layer.pad_to_capacity ? ", padded" : "",
        together);
  }
};

/// Numbers one after the other.
class Draws {
 public:
  explicit Draws(RandomKey key) : key_(key) {}
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(random_below(key_, counter_++, static_cast<std::uint64_t>(bound)));
  }
  bool one_in(std::int64_t many) { return below(many) == 0; }
  /// In (0, 1].
  double uniform() { return 1 - static_cast<double>(random_uniform(key_, counter_++)); }

 private:
  RandomKey key_;
  std::uint64_t counter_ = 0;
};

constexpr std::int64_t kMostCaseTokens = 48, kMostCaseExperts = 12;

/// Deals tokens out: evenly, to one rank alone, or anyhow; many ranks get none.
inline std::vector<std::int64_t> dealt_tokens(std::int64_t total, int ranks, Draws& draws) {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(ranks));
  const std::int64_t way = draws.below(3), lucky = draws.below(ranks);
  for (std::int64_t t = 0; t < total; ++t) {
    const std::int64_t anyone = draws.below(ranks);
    const std::int64_t rank = way == 0 ? t % ranks : way == 1 ? lucky : anyone < ranks / 2 ? lucky : anyone;
    ++tokens[static_cast<std::size_t>(rank)];
  }
  return tokens;
}

/// What seed `seed` stands for at `ranks` ranks.
inline ExchangeCase exchange_case(std::uint64_t seed, int ranks) {
  Draws draws({seed, 0});
  ExchangeCase one;
  one.seed = seed;
  one.ranks = ranks;
  one.skew = static_cast<Skew>(draws.below(4));
  one.together = static_cast<int>(draws.below(3)) + 1;
  one.tokens = dealt_tokens(draws.one_in(16) ? 0 : draws.below(kMostCaseTokens) + 1, ranks, draws);
  LayerConfig& layer = one.layer;
  layer.hidden = draws.below(5) + 1;
  layer.experts = draws.below(kMostCaseExperts) + 1;
  // Half of the experts may be closed.
  layer.top_k = draws.below((layer.experts + 1) / 2) + 1;
  layer.iterations = draws.below(4) + 1;
  one.fixed_choices = !draws.one_in(4);
  layer.drop_policy = static_cast<DropPolicy>(draws.below(3));
  if (layer.drop_policy == DropPolicy::kNone) return one;
  layer.capacity_factor = static_cast<double>(draws.below(8) + 1) / 4;
  layer.capacity_scope = draws.one_in(3) ? CapacityScope::kRank : CapacityScope::kGlobal;
  layer.reroute_rounds = draws.one_in(2) ? draws.below(layer.experts) + 1 : 0;
  layer.pad_to_capacity = draws.one_in(3);
  return one;
}

/// What all tokens of a case want in one iteration, before admission and after it (the slow way).
struct CaseTraffic {
  std::vector<RankedToken> ranked;
  Choices wanted, admitted;
};

/// Logarithms of how much experts are wanted; minus infinity for those that nobody may have.
inline Doubles expert_preference(const ExchangeCase& one, Draws& draws) {
  const std::int64_t experts = one.layer.experts, first = draws.below(experts);
  Doubles preference;
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int64_t place = (e + first) % experts;
    double wanted = 0;
    if (one.skew == Skew::kZipf) wanted = -std::log(static_cast<double>(place + 1));
    if (one.skew == Skew::kOneHot && place == 0) wanted = 20;
    if (one.skew == Skew::kIdle && place >= (experts + 1) / 2) wanted = -std::numeric_limits<double>::infinity();
    preference.push_back(wanted);
  }
  return preference;
}

/// The experts of one token, its best ones; scores come in quarters, so that many are equal.
inline RankedToken ranked_token(const Doubles& preference, Draws& draws) {
  RankedToken token;
  for (const double wanted : preference) {
    const double noise = -std::log(-std::log(draws.uniform() * 0.999));
    token.ranking.push_back(std::isinf(wanted) ? wanted : std::round(4 * (wanted + noise)) / 4);
    token.scores.push_back(std::isinf(wanted) ? 0 : token.ranking.back());
  }
  return token;
}

/// A weight in sevenths, so that the order of a sum shows in its bits.
inline double weight_of(std::int64_t token, std::int64_t expert) {
  return static_cast<double>((3 * token + expert) % 7 + 1) / 7;
}

/// Row and scalar of a choice, numbers that say whose they are and whose sums are rounded; expert e returns (e + 1)
/// times the one and e more than the other.
inline float row_value(std::int64_t token, std::int64_t d, std::int64_t iteration) {
  return static_cast<float>(token + 64 * d + 512 * iteration) + 1.1F;
}
inline float scalar_value(std::int64_t token, std::int64_t expert, std::int64_t iteration) {
  return static_cast<float>(16 * token + expert + 1024 * iteration + 1);
}

/// Admission over the tokens that share capacity: all of them, or those of one rank after the other.
inline void admit_slowly(const ExchangeCase& one, CaseTraffic& traffic) {
  if (!one.capacity_of_ranks()) return slow_admission(one.layer, traffic.ranked, traffic.admitted);
  Choices all;
  std::int64_t first = 0;
  for (const std::int64_t count : one.tokens) {
    Choices some = part_of(traffic.admitted, Share{first, count});
    slow_admission(one.layer, part_of(traffic.ranked, Share{first, count}), some);
    all.insert(all.end(), some.begin(), some.end());
    first += count;
  }
  traffic.admitted = all;
}

inline CaseTraffic traffic_of(const ExchangeCase& one, std::int64_t iteration) {
  Draws draws({one.seed, static_cast<std::uint64_t>(iteration) + 1});
  const Doubles preference = expert_preference(one, draws);
  CaseTraffic traffic;
  for (std::int64_t t = 0; t < one.all_tokens(); ++t) {
    const RankedToken token = ranked_token(preference, draws);
    const std::int64_t count = one.fixed_choices ? one.layer.top_k : draws.below(one.layer.top_k + 1);
    std::vector<Choice> choices;
    for (const std::size_t e : slow_topk(token.ranking, static_cast<std::size_t>(count))) {
      choices.push_back({static_cast<std::int32_t>(e), 0, token.scores[e]});
    }
    traffic.ranked.push_back(token);
    traffic.wanted.push_back(choices);
  }
  traffic.admitted = traffic.wanted;
  admit_slowly(one, traffic);
  for (std::size_t t = 0; t < traffic.admitted.size(); ++t) {
    for (Choice& choice : traffic.admitted[t]) choice.weight = weight_of(static_cast<std::int64_t>(t), choice.expert);
  }
  return traffic;
}

/// All of `all`, by rank.
template <class T>
std::vector<std::vector<T>> by_rank_of(const ExchangeCase& one, const std::vector<T>& all) {
  std::vector<std::vector<T>> parts;
  std::int64_t first = 0;
  for (const std::int64_t count : one.tokens) {
    parts.push_back(part_of(all, Share{first, count}));
    first += count;
  }
  return parts;
}

}  // namespace coe
