#include "runtime/exchange/dispatch_plan.h"

#include <gtest/gtest.h>

#include <tuple>

#include "kernels/memory/error.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

using Ints = std::vector<std::int32_t>;
using Sizes = std::vector<std::size_t>;

Sizes sizes_of(std::span<const std::size_t> sizes) { return {sizes.begin(), sizes.end()}; }

/// Two ranks hold experts {0, 1} and {2}. Rank 0's token 1 lost its place at expert 2.
std::vector<Choices> two_ranks() {
  const Choice dropped{.expert = 2, .kept = false};
  return {{{{0}, {2}}, {{1}, dropped}, {{0}, {1}}}, {{{1}}, {{0}, {2}}}};
}

DispatchPlan plan_of(const std::vector<Choices>& by_rank, std::int64_t experts, int rank, Arena& arena) {
  const Routing routing = routing_of(experts, by_rank[static_cast<std::size_t>(rank)], arena);
  const Tensor table = table_of(by_rank, experts, true, arena);
  return make_dispatch_plan(routing, table, Placement(experts, static_cast<int>(by_rank.size())), rank, arena);
}

void expect_internal(const Routing& routing, const Tensor& table, const Placement& placement, Arena& arena) {
  try {
    make_dispatch_plan(routing, table, placement, 0, arena);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
  }
}

TEST(DispatchPlan, TheFirstOfTwoRanksByHand) {
  Arena arena;
  const DispatchPlan plan = plan_of(two_ranks(), 3, 0, arena);
  EXPECT_EQ(plan.rows_sent(), 5);
  EXPECT_EQ(values_of<std::int32_t>(plan.send_token), (Ints{0, 2, 1, 2, 0}));
  EXPECT_EQ(values_of<std::int32_t>(plan.send_choice), (Ints{0, 4, 2, 5, 1}));
  EXPECT_EQ(values_of<std::int32_t>(plan.offsets), (Ints{0, 2, 4, 6}));
  EXPECT_EQ(values_of<std::int32_t>(plan.place), (Ints{0, 4, 2, -1, 1, 3}));
  EXPECT_EQ(sizes_of(plan.send_rows), (Sizes{4, 1}));
  EXPECT_EQ(sizes_of(plan.receive_rows), (Sizes{4, 2}));
  EXPECT_EQ(plan.segments.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(values_of<std::int32_t>(plan.segments), (Ints{0, 2, 4, 1, 2, 2, 5, 1}));
  EXPECT_EQ(values_of<std::int32_t>(plan.expert_offsets), (Ints{0, 3, 6}));
  EXPECT_EQ(plan.rows_received(), 6);
}

TEST(DispatchPlan, TheSecondOfTwoRanksByHand) {
  Arena arena;
  const DispatchPlan plan = plan_of(two_ranks(), 3, 1, arena);
  EXPECT_EQ(values_of<std::int32_t>(plan.send_token), (Ints{1, 0, 1}));
  EXPECT_EQ(values_of<std::int32_t>(plan.send_choice), (Ints{1, 0, 2}));
  EXPECT_EQ(values_of<std::int32_t>(plan.place), (Ints{1, 0, 2}));
  EXPECT_EQ(sizes_of(plan.send_rows), (Sizes{2, 1}));
  EXPECT_EQ(sizes_of(plan.receive_rows), (Sizes{1, 1}));
  EXPECT_EQ(values_of<std::int32_t>(plan.segments), (Ints{0, 1, 1, 1}));
  EXPECT_EQ(values_of<std::int32_t>(plan.expert_offsets), (Ints{0, 2}));
}

TEST(DispatchPlan, ARankWithoutTokensStillReceives) {
  Arena arena;
  const DispatchPlan plan = plan_of({{{{0}, {1}}}, {}}, 2, 1, arena);
  EXPECT_EQ(plan.rows_sent(), 0);
  EXPECT_EQ(values_of<std::int32_t>(plan.offsets), Ints{0});
  EXPECT_EQ(sizes_of(plan.send_rows), (Sizes{0, 0}));
  EXPECT_EQ(sizes_of(plan.receive_rows), (Sizes{1, 0}));
  EXPECT_EQ(plan.rows_received(), 1);
}

TEST(DispatchPlan, NobodyNeedsToHaveTokens) {
  Arena arena;
  const DispatchPlan plan = plan_of({{}, {}}, 2, 0, arena);
  EXPECT_EQ(plan.rows_sent(), 0);
  EXPECT_EQ(plan.rows_received(), 0);
  EXPECT_EQ(values_of<std::int32_t>(plan.segments), (Ints{0, 0, 0, 0}));
}

TEST(DispatchPlan, ARankWithoutExpertsOnlySends) {
  Arena arena;
  const DispatchPlan plan = plan_of({{}, {{{0}}, {{0}}}}, 1, 1, arena);
  EXPECT_EQ(sizes_of(plan.send_rows), (Sizes{2, 0}));
  EXPECT_EQ(sizes_of(plan.receive_rows), (Sizes{0, 0}));
  EXPECT_EQ(plan.segments.shape(), (Shape{0, 2, 2}));
  EXPECT_EQ(values_of<std::int32_t>(plan.expert_offsets), Ints{0});
  EXPECT_EQ(plan.rows_received(), 0);
}

TEST(DispatchPlan, PaddingStandsBehindTheRowsOfEachExpert) {
  Arena arena;
  const Routing routing = routing_of(2, {{{0}, {1}}, {{1}}}, arena);
  const Tensor table = tensor_of<std::int32_t>({1, 2}, {1, 2}, arena);
  const Placement placement(2, 1);
  const DispatchPlan plan = make_dispatch_plan(routing, table, placement, 0, arena, 3);
  EXPECT_EQ(values_of<std::int32_t>(plan.expert_offsets), (Ints{0, 3, 6}));
  EXPECT_EQ(values_of<std::int32_t>(plan.segments), (Ints{0, 1, 1, 2}));
  EXPECT_EQ(plan.rows_received(), 3);
  EXPECT_EQ(plan.expert_rows(), 6);
  EXPECT_THROW(make_dispatch_plan(routing, table, placement, 0, arena, 1), Error);
}

TEST(DispatchPlan, ATableThatDisagreesIsABug) {
  Arena arena;
  const Routing routing = routing_of(2, {{{0}, {1}}}, arena);
  const Placement placement(2, 1);
  expect_internal(routing, tensor_of<std::int32_t>({1, 2}, {1, 0}, arena), placement, arena);
  expect_internal(routing, tensor_of<std::int32_t>({1, 2}, {2, 1}, arena), placement, arena);
  expect_internal(routing, tensor_of<std::int32_t>({1, 2}, {2, 0}, arena), placement, arena);
  expect_internal(routing, tensor_of<std::int32_t>({1, 3}, {1, 1, 0}, arena), placement, arena);
  expect_internal(routing, tensor_of<std::int32_t>({2, 2}, {1, 1, 0, 0}, arena), placement, arena);
  expect_internal(routing, tensor_of<std::int32_t>({1, 2}, {1, 1}, arena), Placement(3, 1), arena);
}

/// Where an expert stands among those of its holder.
std::int64_t local_number(const Placement& placement, std::int64_t expert) {
  const ExpertIds& held = placement.experts_of(placement.rank_of(expert));
  return std::ranges::find(held, expert) - held.begin();
}

/// (destination, its expert, token, choice) of every kept choice, sorted: what must be sent, in this order.
std::vector<std::tuple<int, std::int64_t, std::int32_t, std::int32_t>> kept_choices(const Choices& tokens,
                                                                                    const Placement& placement) {
  std::vector<std::tuple<int, std::int64_t, std::int32_t, std::int32_t>> kept;
  std::int32_t j = 0;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (const Choice& choice : tokens[t]) {
      const int holder = placement.rank_of(choice.expert);
      if (choice.kept) kept.emplace_back(holder, local_number(placement, choice.expert), t, j);
      ++j;
    }
  }
  std::ranges::sort(kept);
  return kept;
}

void expect_sends(const DispatchPlan& plan, const Choices& tokens, const Placement& placement) {
  const auto kept = kept_choices(tokens, placement);
  ASSERT_EQ(plan.rows_sent(), std::ssize(kept));
  Ints place(static_cast<std::size_t>(plan.place.elements()), -1);
  Sizes rows(static_cast<std::size_t>(placement.ranks()), 0);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto [destination, expert, token, choice] = kept[i];
    EXPECT_EQ(plan.send_token.data<std::int32_t>()[i], token);
    EXPECT_EQ(plan.send_choice.data<std::int32_t>()[i], choice);
    place[static_cast<std::size_t>(choice)] = static_cast<std::int32_t>(i);
    ++rows[static_cast<std::size_t>(destination)];
  }
  EXPECT_EQ(values_of<std::int32_t>(plan.place), place);
  EXPECT_EQ(sizes_of(plan.send_rows), rows);
}

/// Segments in landing order, by (source, expert), follow each other without gaps and are as long as the table says.
void expect_landing(const DispatchPlan& plan, const Tensor& table, const ExpertIds& experts) {
  const std::int64_t ranks = table.extent(0), all_experts = table.extent(1);
  std::int32_t next = 0;
  Ints per_expert(static_cast<std::size_t>(experts.count()), 0);
  Sizes per_source(static_cast<std::size_t>(ranks), 0);
  for (std::int64_t source = 0; source < ranks; ++source) {
    for (std::int64_t local = 0; local < experts.count(); ++local) {
      const std::int32_t* segment = plan.segments.data<std::int32_t>() + (local * ranks + source) * 2;
      EXPECT_EQ(segment[0], next);
      EXPECT_EQ(segment[1], table.data<std::int32_t>()[source * all_experts + experts[local]]);
      next += segment[1];
      per_expert[static_cast<std::size_t>(local)] += segment[1];
      per_source[static_cast<std::size_t>(source)] += static_cast<std::size_t>(segment[1]);
    }
  }
  EXPECT_EQ(next, plan.rows_received());
  EXPECT_EQ(sizes_of(plan.receive_rows), per_source);
  std::int32_t sum = 0;
  for (std::size_t local = 0; local < per_expert.size(); ++local) {
    EXPECT_EQ(plan.expert_offsets.data<std::int32_t>()[local], sum);
    sum += per_expert[local];
  }
}

TEST(DispatchPlan, SendsEveryKeptChoiceOnceAndLandsWithoutGaps) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Arena arena;
    const int ranks = static_cast<int>(random() % 7) + 1;
    const auto experts = static_cast<std::int32_t>(random() % 9) + 1;
    std::vector<Choices> by_rank;
    for (int rank = 0; rank < ranks; ++rank) {
      by_rank.push_back(random_choices(random() % 7, experts, 0, experts, random));
      for (std::vector<Choice>& token : by_rank.back()) {
        for (Choice& choice : token) choice.kept = random() % 4 != 0;
      }
    }
    const Placement placement = seed % 2 == 0 ? Placement(experts, ranks) : shuffled_placement(experts, ranks, seed);
    const Tensor table = table_of(by_rank, experts, true, arena);
    for (int rank = 0; rank < ranks; ++rank) {
      const Routing routing = routing_of(experts, by_rank[static_cast<std::size_t>(rank)], arena);
      const DispatchPlan plan = make_dispatch_plan(routing, table, placement, rank, arena);
      expect_sends(plan, by_rank[static_cast<std::size_t>(rank)], placement);
      expect_landing(plan, table, placement.experts_of(rank));
    }
  }
}

TEST(DispatchPlan, MostRowsAreThoseOfARankThatGetsAllChoices) {
  EXPECT_EQ(most_rows(Placement(64, 1), 100, 4, 0), 400);
  EXPECT_EQ(most_rows(Placement(64, 4), 100, 4, 0), 400);  // all choices of every token may be of one rank
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 0), 200);   // the first rank holds 2 of 7
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 30), 60);   // of which each takes 30
  EXPECT_EQ(most_rows(Placement(7, 4), 100, 4, 1000), 200);
  EXPECT_EQ(most_rows(Placement(7, 4), 0, 4, 0), 0);
}

}  // namespace
}  // namespace coe
