#include <random>

#include "runtime/exchange/dispatch_plan.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/ranks/shuffled_placement.h"

namespace coe {
namespace {

/// What all ranks chose: any number of different experts a token, the first far more often than the others.
struct Choices {
  Choices(std::int64_t experts, const std::vector<std::int64_t>& tokens, unsigned seed) {
    std::mt19937 random(seed);
    for (const std::int64_t mine : tokens) {
      offsets.emplace_back(1);
      expert.emplace_back();
      for (std::int64_t t = 0; t < mine; ++t) {
        for (std::int32_t e = 0; e < experts; ++e) {
          if (random() % (e == 0 ? 10U : 40U) < 8) expert.back().push_back(e);
        }
        offsets.back().push_back(static_cast<std::int32_t>(expert.back().size()));
      }
    }
  }
  std::vector<std::vector<std::int32_t>> offsets, expert;  ///< by rank
};

/// [R, N]
Ints count(const Choices& choices, std::int64_t experts) {
  const auto ranks = static_cast<std::int64_t>(choices.expert.size());
  Ints table({ranks, experts});
  for (std::int64_t r = 0; r < ranks; ++r) {
    for (const std::int32_t e : choices.expert[static_cast<std::size_t>(r)]) ++table[r * experts + e];
  }
  return table;
}

/// Which choices of each rank keep a place of `capacity`: one after another, in the order of ranks and tokens. `table`
/// loses the rest.
std::vector<std::vector<std::uint8_t>> keep(const Choices& choices, std::int32_t capacity, const Ints& table) {
  const std::int64_t experts = table.tensor().extent(1);
  std::vector<std::vector<std::uint8_t>> kept;
  std::vector<std::int32_t> taken(static_cast<std::size_t>(experts));
  for (const std::vector<std::int32_t>& mine : choices.expert) {
    const auto rank = std::ssize(kept);
    kept.emplace_back();
    for (const std::int32_t e : mine) {
      const bool fits = taken[static_cast<std::size_t>(e)] < capacity;
      if (fits) ++taken[static_cast<std::size_t>(e)];
      if (!fits) --table[rank * experts + e];
      kept.back().push_back(fits ? 1 : 0);
    }
  }
  return kept;
}

class DispatchPlanCuda : public OnCuda {
 protected:
  /// One rank's plan on the device against make_dispatch_plan().
  void compare(const Choices& choices, const Placement& placement, std::int32_t capacity, std::int64_t padded,
               int rank) {
    const std::int64_t experts = placement.experts();
    const Ints rows = count(choices, experts);
    auto kept = keep(choices, capacity, rows)[static_cast<std::size_t>(rank)];
    auto offsets = choices.offsets[static_cast<std::size_t>(rank)];
    auto expert = choices.expert[static_cast<std::size_t>(rank)];
    const std::int64_t made = std::ssize(expert);
    Routing routing;
    routing.experts = experts;
    routing.offsets = Tensor(offsets.data(), DType::kI32, {std::ssize(offsets)});
    routing.expert = Tensor(expert.data(), DType::kI32, {made});
    routing.kept = Tensor(kept.data(), DType::kU8, {made});
    Arena arena;
    const DispatchPlan wanted = make_dispatch_plan(routing, rows, placement, rank, arena, padded);

    Arena memory = poisoned_arena(1 << 20);
    // As a ReLU router leaves them: memory for more choices than there are.
    Ints more({made + 5});
    std::ranges::copy(expert, more.begin());
    Owned<std::uint8_t> more_kept({made + 5});
    std::ranges::copy(kept, more_kept.begin());
    Routed there;
    there.routing = {.experts = experts,
                     .offsets = put(routing.offsets),
                     .expert = put(more),
                     .weight = room(DType::kF32, {made + 5}),
                     .score = room(DType::kF32, {made + 5}),
                     .chosen = {},
                     .kept = put(more_kept)};
    const ChoiceCounts counts = count_choices(there.routing.on_device(), there.routing.kept, experts, memory, stream_);
    there.counts = counts.totals;
    there.earlier = counts.earlier;
    EXPECT_TRUE(same_bits(get<std::int32_t>(there.counts).tensor(), rows.tensor().rows(rank, 1)));
    const DispatchPlanner planner(placement, rank, stream_);
    const DispatchPlan plan = planner.plan(there, put(rows), {.most = 1000, .padded = padded}, memory);
    EXPECT_EQ(plan.most_rows, 1000);
    EXPECT_EQ(plan.padded_rows, padded);
    EXPECT_TRUE(same_bits(get<std::int32_t>(plan.expert_offsets), wanted.expert_offsets));
    const Ints offsets_there = get<std::int32_t>(plan.expert_offsets), ends = get<std::int32_t>(plan.row_ends);
    const ExpertIds& held = placement.experts_of(rank);
    for (std::int64_t e = 0; e < held.count(); ++e) {
      std::int32_t somebodys = 0;
      for (int r = 0; r < placement.ranks(); ++r) somebodys += rows[r * experts + held[e]];
      EXPECT_EQ(ends[e], offsets_there[e] + somebodys);
    }
    const Ints holder = get<std::int32_t>(plan.places.holder), row = get<std::int32_t>(plan.places.row);
    for (std::int64_t j = 0; j < made; ++j) {
      const std::int32_t place = wanted.place.data<std::int32_t>()[j];
      EXPECT_EQ(holder[j], place < 0 ? -1 : placement.rank_of(expert[static_cast<std::size_t>(j)]));
      EXPECT_EQ(row[j], place < 0 ? -1 : wanted.landing.data<std::int32_t>()[place]);
    }
  }
};

TEST_F(DispatchPlanCuda, IsTheCpus) {
  const std::vector<std::vector<std::int64_t>> tokens = {{1}, {0}, {700}, {64, 0, 65, 1}, {3, 130, 0, 0, 17, 2, 1}};
  for (const std::vector<std::int64_t>& each : tokens) {
    for (const std::int64_t experts : {1, 9, 257}) {
      const Choices choices(experts, each, 5);
      const auto ranks = static_cast<int>(each.size());
      for (const auto& [capacity, padded] : {std::pair{1 << 30, 0}, {7, 0}, {7, 8}, {7, 50}}) {
        for (int r = 0; r < ranks; ++r) {
          compare(choices, Placement(experts, ranks), capacity, padded, r);
          if (ranks > 1) compare(choices, shuffled_placement(experts, ranks, 2), capacity, padded, r);
        }
      }
    }
  }
}

}  // namespace
}  // namespace coe
