#include "runtime/routing/grant_places.h"

#include <algorithm>
#include <functional>

#include "kernels/memory/error.h"
#include "runtime/routing/contest.h"

namespace coe {
namespace {

void grant_by_position(std::span<const std::int64_t> room, const Asks& asks, const Tensor& counts, int rank,
                       Arena& arena) {
  const std::int64_t ranks = counts.extent(0), experts = counts.extent(1);
  auto* left = arena.make<std::int64_t>({experts}).data<std::int64_t>();
  auto* mine = arena.make<std::int32_t>({experts}).data<std::int32_t>();
  std::ranges::copy(room, left);
  for (std::int64_t r = 0; r < ranks; ++r) {
    auto* row = counts.data<std::int32_t>() + r * experts;
    for (std::int64_t e = 0; e < experts; ++e) {
      row[e] = static_cast<std::int32_t>(std::min<std::int64_t>(row[e], left[e]));
      left[e] -= row[e];
    }
    if (r == rank) std::copy_n(row, experts, mine);
  }
  const auto expert = asks.expert.span<std::int32_t>();
  std::ranges::transform(expert, asks.granted.data<std::uint8_t>(),
                         [&](std::int32_t e) { return static_cast<std::uint8_t>(mine[e]-- > 0 ? 1 : 0); });
}

/// Grants what stands above its expert's bar, and as many of the first that stand on it as `counts` has left.
void grant_above(std::span<const float> bar, const Asks& asks, const Tensor& counts, int rank, Arena& arena) {
  const std::int64_t experts = counts.extent(1);
  auto* left = arena.make<std::int32_t>({experts}).data<std::int32_t>();
  std::copy_n(counts.data<std::int32_t>() + rank * experts, experts, left);
  const auto* expert = asks.expert.data<std::int32_t>();
  const auto* score = asks.score.data<float>();
  auto* granted = asks.granted.data<std::uint8_t>();
  for (std::int64_t j = 0; j < asks.expert.elements(); ++j) {
    granted[j] = score[j] > bar[static_cast<std::size_t>(expert[j])] ? 1 : 0;
    left[expert[j]] -= granted[j];
  }
  for (std::int64_t j = 0; j < asks.expert.elements(); ++j) {
    if (score[j] == bar[static_cast<std::size_t>(expert[j])] && left[expert[j]]-- > 0) granted[j] = 1;
  }
}

void grant_by_probability(std::span<const std::int64_t> room, const Asks& asks, const Tensor& counts, Group group,
                          const Phase& phase, Arena& arena) {
  const Contest contest(room, counts, group.rank(), arena);
  std::ranges::fill(asks.granted.span<std::uint8_t>(), std::uint8_t{1});
  if (!contest.is_held()) return;
  const auto heard = arena.make<float>({contest.scores_heard()}).span<float>();
  all_to_all<float>(group, contest.list_scores(asks, arena), contest.scores_to(), heard, contest.scores_from(), phase);
  const auto verdicts = arena.make<std::int32_t>({contest.verdicts()}).span<std::int32_t>();
  all_gather_uneven<std::int32_t>(group, contest.judge(heard, arena), verdicts, contest.verdicts_from(), phase);
  grant_above(contest.announce(verdicts, arena), asks, counts, group.rank(), arena);
}

}  // namespace

void grant_places(DropPolicy policy, std::span<std::int64_t> room, const Asks& asks, const Tensor& counts, Group group,
                  const Phase& phase, Arena& arena) {
  ArenaScope scratch(arena);
  if (policy == DropPolicy::kPosition) {
    grant_by_position(room, asks, counts, group.rank(), arena);
  } else {
    grant_by_probability(room, asks, counts, group, phase, arena);
  }
  const std::int64_t experts = counts.extent(1);
  for (std::int64_t r = 0; r < counts.extent(0); ++r) {
    const auto* row = counts.data<std::int32_t>() + r * experts;
    std::transform(room.begin(), room.end(), row, room.begin(), std::minus<>());
  }
}

}  // namespace coe
