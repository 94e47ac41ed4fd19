#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// This rank's choices that ask for a place at an expert, in token order.
struct Asks {
  Tensor expert;   ///< int32 [n], global expert id
  Tensor score;    ///< fp32 [n]
  Tensor granted;  ///< uint8 [n], overwritten
};

/// One rank's part in granting by score the places of contested experts, those with more asks than room. Each is judged
/// by one rank, the one that holds it where experts lie in contiguous runs: ranks tell it their scores (list_scores,
/// then all-to-all), and it tells all what passes (judge, then an all-gather, then announce): of each rank how many
/// asks, and the bar, the lowest score that does. Pure arithmetic between the two, in ranks x experts + asks steps.
/// Views its arguments and the arena.
class Contest {
 public:
  /// room [N]; counts int32 [R, N], asks per (rank, expert).
  Contest(std::span<const std::int64_t> room, const Tensor& counts, int rank, Arena& arena);

  /// Whether any expert is contested.
  bool is_held() const { return !contested_.empty(); }

  /// This rank's scores for contested experts, by (expert, token), and how many go to each judge.
  std::span<const float> list_scores(const Asks& asks, Arena& arena) const;
  std::span<const std::size_t> scores_to() const { return scores_to_; }
  /// How many come from each rank for the experts that this one judges, and in all.
  std::span<const std::size_t> scores_from() const { return scores_from_; }
  std::int64_t scores_heard() const;

  /// From the scores by (rank, expert, token) the verdict on each expert: what is granted to each rank, then the bar's
  /// bits. `places` best scores pass, and of equal ones those of the lower rank and the earlier token.
  std::span<const std::int32_t> judge(std::span<const float> scores, Arena& arena) const;
  /// How many numbers each rank's verdicts have, and all.
  std::span<const std::size_t> verdicts_from() const { return verdicts_from_; }
  std::int64_t verdicts() const { return std::ssize(contested_) * (ranks_ + 1); }

  /// Puts the grants of all verdicts into `counts`, the table that was asked with; returns the bar of every expert [N],
  /// -infinity where it is not contested.
  std::span<const float> announce(std::span<const std::int32_t> verdicts, Arena& arena) const;

 private:
  /// The contested experts that a rank judges.
  std::span<const std::int32_t> judged_by(int rank) const;
  const std::int32_t* asks_of(std::int64_t rank) const { return counts_.data<std::int32_t>() + rank * experts_; }

  std::span<const std::int64_t> room_;
  Tensor counts_;
  int rank_;
  std::int64_t ranks_, experts_;
  std::span<std::int32_t> contested_;  ///< ascending
  std::span<std::size_t> scores_to_, scores_from_, verdicts_from_;
};

}  // namespace coe
