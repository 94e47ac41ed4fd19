#include "runtime/exchange/tokens_by_rank.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>
#include <span>

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Where the rows to each rank end among the sent rows.
std::span<std::int32_t> ends_of_ranks(const DispatchPlan& plan, Arena& arena) {
  const auto ends = arena.make<std::int32_t>({std::ssize(plan.send_rows)}).span<std::int32_t>();
  std::int32_t end = 0;
  std::ranges::transform(plan.send_rows, ends.begin(),
                         [&](std::size_t rows) { return end += static_cast<std::int32_t>(rows); });
  return ends;
}

/// Calls visit(row, token) for the rows of one source, expert after expert. `first` [local experts] says where they
/// begin.
template <class Visit>
void for_each_row(const DispatchPlan& plan, std::int64_t source, std::span<const std::int32_t> first, const float* ids,
                  const Visit& visit) {
  const std::int64_t ranks = plan.segments.extent(1);
  for (std::size_t e = 0; e < first.size(); ++e) {
    const std::int64_t segment = static_cast<std::int64_t>(e) * ranks + source;
    const std::int32_t end = first[e] + plan.segments.data<std::int32_t>()[2 * segment + 1];
    for (std::int32_t row = first[e]; row < end; ++row) visit(row, std::bit_cast<std::int32_t>(ids[row]));
  }
}

/// Turns how many rows each token of a source has into where they begin, and gives the tokens that have any the next
/// numbers.
void number_tokens(std::span<std::int32_t> rows, std::int32_t& tokens, const Tensor& offsets) {
  auto* begin = offsets.data<std::int32_t>();
  for (std::int32_t& count : rows) {
    if (count == 0) continue;
    if (tokens + 1 >= offsets.elements()) fail(ErrorCode::kInternal, "tokens by rank: more came than ", tokens);
    begin[tokens + 1] = begin[tokens] + count;
    count = begin[tokens++];
  }
}

}  // namespace

Routing route_to_ranks(const DispatchPlan& plan, Arena& arena) {
  const std::int64_t tokens = plan.offsets.elements() - 1;
  const Tensor offsets = arena.make<std::int32_t>({tokens + 1}), all = arena.make<std::int32_t>({plan.rows_sent()});
  const std::span<std::int32_t> ends = ends_of_ranks(plan, arena);
  const auto *begin = plan.offsets.data<std::int32_t>(), *place = plan.place.data<std::int32_t>();
  auto* ranks = all.data<std::int32_t>();
  std::int32_t count = 0;
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int32_t first = offsets.data<std::int32_t>()[t] = count;
    for (std::int32_t j = begin[t]; j < begin[t + 1]; ++j) {
      if (place[j] < 0) continue;
      const auto rank = static_cast<std::int32_t>(std::ranges::upper_bound(ends, place[j]) - ends.begin());
      ranks[count++] = rank;
    }
    std::sort(ranks + first, ranks + count);
    count = static_cast<std::int32_t>(std::unique(ranks + first, ranks + count) - ranks);
  }
  offsets.data<std::int32_t>()[tokens] = count;
  const Tensor kept = arena.make<std::uint8_t>({count});
  std::ranges::fill(kept.span<std::uint8_t>(), std::uint8_t{1});
  return {.experts = std::ssize(ends),
          .offsets = offsets,
          .expert = all.rows(0, count),
          .weight = {},
          .score = {},
          .chosen = kept,
          .kept = kept};
}

TokenRows find_token_rows(const DispatchPlan& plan, const DispatchPlan& by_rank, const Tensor& ids, Arena& arena) {
  const TokenRows found{arena.zeros<std::int32_t>({by_rank.rows_received() + 1}),
                        arena.make<std::int32_t>({plan.rows_received()})};
  const auto* id = ids.data<float>();
  ArenaScope scratch(arena);
  const std::int64_t experts = plan.segments.extent(0), ranks = plan.segments.extent(1);
  const auto first = arena.make<std::int32_t>({experts}).span<std::int32_t>();
  std::copy_n(plan.expert_offsets.data<std::int32_t>(), experts, first.begin());
  std::int32_t tokens = 0;
  for (std::int64_t source = 0; source < ranks; ++source) {
    ArenaScope of_source(arena);
    std::int32_t most = -1;
    for_each_row(plan, source, first, id, [&](auto, std::int32_t token) { most = std::max(most, token); });
    const auto next = arena.zeros<std::int32_t>({most + 1}).span<std::int32_t>();
    for_each_row(plan, source, first, id, [&](auto, std::int32_t token) { ++next[static_cast<std::size_t>(token)]; });
    number_tokens(next, tokens, found.offsets);
    for_each_row(plan, source, first, id, [&](std::int32_t row, std::int32_t token) {
      found.row.data<std::int32_t>()[next[static_cast<std::size_t>(token)]++] = row;
    });
    for (std::size_t e = 0; e < first.size(); ++e) {
      first[e] += plan.segments.data<std::int32_t>()[2 * (static_cast<std::int64_t>(e) * ranks + source) + 1];
    }
  }
  if (tokens != by_rank.rows_received()) {
    fail(ErrorCode::kInternal, "tokens by rank: ", tokens, " came, the plan says ", by_rank.rows_received());
  }
  return found;
}

}  // namespace coe
