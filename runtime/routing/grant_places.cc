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

/// What a Contest's ranks tell one another, both ways.
struct Talk {
  std::span<const float> scores;
  std::span<float> heard;
  std::span<std::int32_t> verdicts;
};

void tell_scores(const PlaceGrants& at, const Contest& contest, const Asks& asks, Talk& talk) {
  talk.scores = contest.list_scores(asks, *at.arena);
  talk.heard = at.arena->make<float>({contest.scores_heard()}).span<float>();
  at.talk->all_to_all(at.group, sizeof(float), std::as_bytes(talk.scores), contest.scores_to(),
                      std::as_writable_bytes(talk.heard), contest.scores_from(), at.phase);
}

void tell_verdicts(const PlaceGrants& at, const Contest& contest, Talk& talk) {
  talk.verdicts = at.arena->make<std::int32_t>({contest.verdicts()}).span<std::int32_t>();
  at.talk->all_gather_uneven(at.group, sizeof(std::int32_t), std::as_bytes(contest.judge(talk.heard, *at.arena)),
                             std::as_writable_bytes(talk.verdicts), contest.verdicts_from(), at.phase);
}

void take_grants(const PlaceGrants& at) {
  const std::int64_t experts = at.counts.extent(1);
  for (std::int64_t r = 0; r < at.counts.extent(0); ++r) {
    const auto* row = at.counts.data<std::int32_t>() + r * experts;
    std::transform(at.room.begin(), at.room.end(), row, at.room.begin(), std::minus<>());
  }
}

}  // namespace

Task grant_places(const PlaceGrants& places, const Asks& asks, FrameArena& /*frames*/) {
  const Arena::Mark mark = places.arena->mark();
  const int rank = places.group.rank();
  if (places.policy == DropPolicy::kPosition) {
    grant_by_position(places.room, asks, places.counts, rank, *places.arena);
  } else {
    const Contest contest(places.room, places.counts, rank, *places.arena);
    std::ranges::fill(asks.granted.span<std::uint8_t>(), std::uint8_t{1});
    if (contest.is_held()) {
      Talk talk;
      tell_scores(places, contest, asks, talk);
      co_await places.talk->done();
      tell_verdicts(places, contest, talk);
      co_await places.talk->done();
      grant_above(contest.announce(talk.verdicts, *places.arena), asks, places.counts, rank, *places.arena);
    }
  }
  take_grants(places);
  places.arena->reset(mark);
}

}  // namespace coe
