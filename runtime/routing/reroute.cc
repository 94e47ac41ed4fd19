#include "runtime/routing/reroute.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace coe {
namespace {

/// How a token stands with an expert.
enum Standing : std::uint8_t { kUntried, kTried, kGranted };

/// Every token's standing with every expert, and how many of its choices have no place.
struct Standings {
  Tensor standing;  ///< uint8 [T, N]
  Tensor homeless;  ///< int32 [T]
};

Standings standings_of(const Routing& routing, Arena& arena) {
  Standings now{arena.zeros<std::uint8_t>({routing.tokens(), routing.experts}),
                arena.zeros<std::int32_t>({routing.tokens()})};
  const auto* offsets = routing.offsets.data<std::int32_t>();
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    for (std::int32_t j = offsets[t]; j < offsets[t + 1]; ++j) {
      now.standing.data<std::uint8_t>()[t * routing.experts + routing.expert.data<std::int32_t>()[j]] = kTried;
      now.homeless.data<std::int32_t>()[t] += routing.kept.data<std::uint8_t>()[j] == 0 ? 1 : 0;
    }
  }
  return now;
}

/// The best ranked untried expert that is open, the lower one on a tie; -1 where there is none.
std::int64_t next_best(const float* ranking, const std::uint8_t* standing, std::int64_t experts) {
  std::int64_t best = -1;
  for (std::int64_t e = 0; e < experts; ++e) {
    if (standing[e] != kUntried || ranking[e] == kClosed) continue;
    if (best < 0 || ranking[e] > ranking[best]) best = e;
  }
  return best;
}

/// One round's asks; token [n] says whose they are.
struct Round {
  Asks asks;
  Tensor token;
};

Round ask(const Routed& routed, const Standings& now, Arena& arena) {
  const auto homeless = now.homeless.span<std::int32_t>();
  const std::int64_t experts = routed.routing.experts;
  const std::int64_t most = std::accumulate(homeless.begin(), homeless.end(), std::int64_t{0});
  Round round{{arena.make<std::int32_t>({most}), arena.make<float>({most}), arena.make<std::uint8_t>({most})},
              arena.make<std::int32_t>({most})};
  std::int64_t asked = 0;
  for (std::int64_t t = 0; t < routed.routing.tokens(); ++t) {
    const float* ranking = routed.ranking.data<float>() + t * experts;
    std::uint8_t* standing = now.standing.data<std::uint8_t>() + t * experts;
    for (std::int32_t i = 0; i < homeless[static_cast<std::size_t>(t)]; ++i) {
      const std::int64_t expert = next_best(ranking, standing, experts);
      if (expert < 0) break;
      standing[expert] = kTried;
      round.asks.expert.data<std::int32_t>()[asked] = static_cast<std::int32_t>(expert);
      round.asks.score.data<float>()[asked] = routed.scores.data<float>()[t * experts + expert];
      round.token.data<std::int32_t>()[asked++] = static_cast<std::int32_t>(t);
    }
  }
  return {{round.asks.expert.rows(0, asked), round.asks.score.rows(0, asked), round.asks.granted.rows(0, asked)},
          round.token.rows(0, asked)};
}

/// int32 [1, N].
Tensor count_asks(const Asks& asks, std::int64_t experts, Arena& arena) {
  const Tensor counts = arena.zeros<std::int32_t>({1, experts});
  for (const std::int32_t expert : asks.expert.span<std::int32_t>()) ++counts.data<std::int32_t>()[expert];
  return counts;
}

void settle(const Round& round, std::int64_t experts, const Standings& now) {
  for (std::int64_t i = 0; i < round.token.elements(); ++i) {
    if (round.asks.granted.data<std::uint8_t>()[i] == 0) continue;
    const std::int32_t token = round.token.data<std::int32_t>()[i];
    now.standing.data<std::uint8_t>()[token * experts + round.asks.expert.data<std::int32_t>()[i]] = kGranted;
    --now.homeless.data<std::int32_t>()[token];
  }
}

/// The router's choices and the granted ones, each token's in ascending expert id.
Routing merged(const Routed& routed, const Standings& now, Arena& arena) {
  const Routing& routing = routed.routing;
  const std::int64_t experts = routing.experts, tokens = routing.tokens();
  const auto standing = now.standing.span<std::uint8_t>();
  const std::int64_t choices = routing.choices() + std::ranges::count(standing, kGranted);
  Routing all{.experts = experts,
              .offsets = arena.make<std::int32_t>({tokens + 1}),
              .expert = arena.make<std::int32_t>({choices}),
              .weight = arena.make<float>({choices}),
              .score = arena.make<float>({choices}),
              .chosen = arena.make<std::uint8_t>({choices}),
              .kept = arena.make<std::uint8_t>({choices})};
  std::int32_t next = 0, from = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    all.offsets.data<std::int32_t>()[t] = next;
    const std::int32_t end = routing.offsets.data<std::int32_t>()[t + 1];
    for (std::int32_t e = 0; e < experts; ++e) {
      const bool own = from < end && routing.expert.data<std::int32_t>()[from] == e;
      const bool granted = standing[static_cast<std::size_t>(t * experts + e)] == kGranted;
      if (!own && !granted) continue;
      all.expert.data<std::int32_t>()[next] = e;
      all.score.data<float>()[next] = routed.scores.data<float>()[t * experts + e];
      all.chosen.data<std::uint8_t>()[next] = own ? 1 : 0;
      all.kept.data<std::uint8_t>()[next++] = own ? routing.kept.data<std::uint8_t>()[from++] : 1;
    }
  }
  all.offsets.data<std::int32_t>()[tokens] = next;
  return all;
}

bool nobody_asks(const Tensor& table) {
  return std::ranges::all_of(table.span<std::int32_t>(), [](std::int32_t number) { return number == 0; });
}

}  // namespace

Task reroute(const LayerConfig& config, const PlaceGrants& places, RowTables& tables, Routed& routed,
             FrameArena& frames) {
  const Standings now = standings_of(routed.routing, *places.arena);
  for (int n = 1; n <= config.reroute_rounds; ++n) {
    const Arena::Mark mark = places.arena->mark();
    const Round round = ask(routed, now, *places.arena);
    const Tensor mine = count_asks(round.asks, config.experts, *places.arena);
    tables.tell(mine, n, places.phase);
    co_await tables.told();
    const Tensor asked = tables.table(n);
    if (nobody_asks(asked)) break;
    PlaceGrants granted = places;
    granted.counts = asked;
    Task granting = grant_places(granted, round.asks, frames);
    co_await granting;
    std::ranges::transform(asked.span<std::int32_t>(), places.counts.span<std::int32_t>(),
                           places.counts.data<std::int32_t>(), std::plus<>());
    settle(round, config.experts, now);
    places.arena->reset(mark);
  }
  routed.routing = merged(routed, now, *places.arena);
}

}  // namespace coe
