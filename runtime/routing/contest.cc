#include "runtime/routing/contest.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <numeric>

#include "runtime/ranks/share.h"

namespace coe {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::span<std::size_t> make_sizes(std::int64_t count, Arena& arena) {
  static_assert(sizeof(std::size_t) == sizeof(std::int64_t));
  const Tensor sizes = arena.zeros<std::int64_t>({count});
  return {reinterpret_cast<std::size_t*>(sizes.raw()), static_cast<std::size_t>(count)};
}

/// The lowest of the `places` largest scores, which change their order.
float bar_of(std::span<float> scores, std::int64_t places) {
  if (places == 0) return kInfinity;
  const auto last = scores.begin() + places - 1;
  std::nth_element(scores.begin(), last, scores.end(), std::greater<>());
  return *last;
}

}  // namespace

Contest::Contest(std::span<const std::int64_t> room, const Tensor& counts, int rank, Arena& arena)
    : room_(room),
      counts_(counts),
      rank_(rank),
      ranks_(counts.extent(0)),
      experts_(counts.extent(1)),
      contested_(arena.make<std::int32_t>({experts_}).span<std::int32_t>()),
      scores_to_(make_sizes(ranks_, arena)),
      scores_from_(make_sizes(ranks_, arena)),
      verdicts_from_(make_sizes(ranks_, arena)) {
  const auto total = arena.zeros<std::int64_t>({experts_}).span<std::int64_t>();
  for (std::int64_t r = 0; r < ranks_; ++r)
    std::transform(total.begin(), total.end(), asks_of(r), total.begin(), std::plus<>());
  std::size_t contested = 0;
  for (std::int64_t e = 0; e < experts_; ++e) {
    const auto at = static_cast<std::size_t>(e);
    if (total[at] > room[at]) contested_[contested++] = static_cast<std::int32_t>(e);
  }
  contested_ = contested_.first(contested);
  const std::span<const std::int32_t> mine = judged_by(rank);
  for (int r = 0; r < ranks_; ++r) {
    const auto at = static_cast<std::size_t>(r);
    const std::span<const std::int32_t> theirs = judged_by(r);
    for (const std::int32_t e : theirs) scores_to_[at] += static_cast<std::size_t>(asks_of(rank)[e]);
    for (const std::int32_t e : mine) scores_from_[at] += static_cast<std::size_t>(asks_of(r)[e]);
    verdicts_from_[at] = theirs.size() * static_cast<std::size_t>(ranks_ + 1);
  }
}

std::span<const std::int32_t> Contest::judged_by(int rank) const {
  const Share share = share_of(experts_, ranks_, rank);
  const auto begin = std::ranges::lower_bound(contested_, share.first);
  return {begin, std::lower_bound(begin, contested_.end(), share.first + share.count)};
}

std::int64_t Contest::scores_heard() const {
  return static_cast<std::int64_t>(std::accumulate(scores_from_.begin(), scores_from_.end(), std::size_t{0}));
}

std::span<const float> Contest::list_scores(const Asks& asks, Arena& arena) const {
  const auto next = arena.make<std::int64_t>({experts_}).span<std::int64_t>();
  std::ranges::fill(next, -1);
  std::int64_t total = 0;
  for (const std::int32_t e : contested_) {
    next[static_cast<std::size_t>(e)] = total;
    total += asks_of(rank_)[e];
  }
  const auto scores = arena.make<float>({total}).span<float>();
  for (std::int64_t j = 0; j < asks.expert.elements(); ++j) {
    std::int64_t& place = next[static_cast<std::size_t>(asks.expert.data<std::int32_t>()[j])];
    if (place >= 0) scores[static_cast<std::size_t>(place++)] = asks.score.data<float>()[j];
  }
  return scores;
}

std::span<const std::int32_t> Contest::judge(std::span<const float> scores, Arena& arena) const {
  const std::span<const std::int32_t> mine = judged_by(rank_);
  const auto verdicts = arena.make<std::int32_t>({std::ssize(mine) * (ranks_ + 1)}).span<std::int32_t>();
  const auto pool = arena.make<float>({std::ssize(scores)}).span<float>();
  const auto next = make_sizes(ranks_, arena);  // where each rank's scores for the next expert begin
  std::exclusive_scan(scores_from_.begin(), scores_from_.end(), next.begin(), std::size_t{0});
  std::int32_t* granted = verdicts.data();
  for (const std::int32_t e : mine) {
    const auto from = [&](std::int64_t r) {
      return scores.subspan(next[static_cast<std::size_t>(r)], static_cast<std::size_t>(asks_of(r)[e]));
    };
    auto end = pool.begin();
    for (std::int64_t r = 0; r < ranks_; ++r) end = std::ranges::copy(from(r), end).out;
    const std::int64_t places = room_[static_cast<std::size_t>(e)];
    const float bar = bar_of({pool.begin(), end}, places);
    std::int64_t left = places;
    for (std::int64_t r = 0; r < ranks_; ++r) {
      granted[r] = static_cast<std::int32_t>(std::ranges::count_if(from(r), [=](float score) { return score > bar; }));
      left -= granted[r];
    }
    for (std::int64_t r = 0; r < ranks_; ++r) {
      const auto on_bar = std::min<std::int64_t>(left, std::ranges::count(from(r), bar));
      granted[r] += static_cast<std::int32_t>(on_bar);
      left -= on_bar;
      next[static_cast<std::size_t>(r)] += static_cast<std::size_t>(asks_of(r)[e]);
    }
    granted[ranks_] = std::bit_cast<std::int32_t>(bar);
    granted += ranks_ + 1;
  }
  return verdicts;
}

std::span<const float> Contest::announce(std::span<const std::int32_t> verdicts, Arena& arena) const {
  const auto bars = arena.make<float>({experts_}).span<float>();
  std::ranges::fill(bars, -kInfinity);
  const std::int32_t* granted = verdicts.data();
  for (const std::int32_t e : contested_) {
    for (std::int64_t r = 0; r < ranks_; ++r) counts_.data<std::int32_t>()[r * experts_ + e] = granted[r];
    bars[static_cast<std::size_t>(e)] = std::bit_cast<float>(granted[ranks_]);
    granted += ranks_ + 1;
  }
  return bars;
}

}  // namespace coe
