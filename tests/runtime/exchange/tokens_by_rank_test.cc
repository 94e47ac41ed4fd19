#include "runtime/exchange/tokens_by_rank.h"

#include <gtest/gtest.h>

#include <bit>

#include "kernels/memory/error.h"
#include "runtime/routing/balance.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

/// Rank 0 holds experts 0 and 1, rank 1 expert 2. Token 1 of rank 0 keeps expert 2 alone, tokens 2 and 3 keep nothing.
std::vector<Choices> choices_by_rank() {
  const Choice dropped_0{.expert = 0, .kept = false}, dropped_1{.expert = 1, .kept = false};
  return {{{{0}, {1}, {2}}, {dropped_1, {2}}, {}, {dropped_0}}, {{{1}}, {{0}, {1}}}};
}

/// Both plans of one rank.
struct Plans {
  explicit Plans(int rank, std::int64_t padded_rows = 0) {
    const std::vector<Choices> all = choices_by_rank();
    const Routing routing = routing_of(3, all[static_cast<std::size_t>(rank)], arena);
    plan = make_dispatch_plan(routing, table_of(all, 3, true, arena), Placement(3, 2), rank, arena, padded_rows);
    to_ranks = route_to_ranks(plan, arena);
    // Rank 0 sends one token to itself and two to rank 1, rank 1 two to rank 0.
    const Tensor table = tensor_of<std::int32_t>({2, 2}, {1, 2, 2, 0}, arena);
    by_rank = make_dispatch_plan(to_ranks, table, Placement(2, 2), rank, arena);
  }

  Tensor ids(const std::vector<std::int32_t>& tokens) {
    const Tensor bits = arena.make<float>({std::ssize(tokens)});
    std::ranges::transform(tokens, bits.data<float>(), [](std::int32_t token) { return std::bit_cast<float>(token); });
    return bits;
  }
  TokenRows rows_of(const std::vector<std::int32_t>& tokens) {
    return find_token_rows(plan, by_rank, ids(tokens), arena);
  }

  Arena arena;
  DispatchPlan plan, by_rank;
  Routing to_ranks;
};

void expect_rows(const TokenRows& found, const std::vector<std::int32_t>& offsets,
                 const std::vector<std::int32_t>& row) {
  EXPECT_EQ(values_of<std::int32_t>(found.offsets), offsets);
  EXPECT_EQ(values_of<std::int32_t>(found.row), row);
}

/// What the refusal of these tokens of rank 0's five rows says.
std::string refusal(const std::vector<std::int32_t>& tokens) {
  try {
    Plans(0).rows_of(tokens);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(TokensByRank, ATokenGoesOnceToEachRankThatKeepsAChoice) {
  const Plans at_0(0), at_1(1);
  EXPECT_EQ(at_0.to_ranks.experts, 2);
  EXPECT_EQ(values_of<std::int32_t>(at_0.to_ranks.offsets), (std::vector<std::int32_t>{0, 2, 3, 3, 3}));
  EXPECT_EQ(values_of<std::int32_t>(at_0.to_ranks.expert), (std::vector<std::int32_t>{0, 1, 1}));
  EXPECT_EQ(values_of<std::uint8_t>(at_0.to_ranks.kept), (std::vector<std::uint8_t>{1, 1, 1}));
  EXPECT_EQ(values_of<std::int32_t>(at_1.to_ranks.offsets), (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(values_of<std::int32_t>(at_1.to_ranks.expert), (std::vector<std::int32_t>{0, 0}));
}

TEST(TokensByRank, RowsOfATokenAreFoundByItsNumber) {
  // Expert 0 has token 0 of rank 0 and token 1 of rank 1; expert 1 token 0 of rank 0 and both of rank 1.
  expect_rows(Plans(0).rows_of({0, 1, 0, 0, 1}), {0, 2, 3, 5}, {0, 2, 3, 1, 4});
  // Expert 2 has tokens 0 and 1 of rank 0.
  expect_rows(Plans(1).rows_of({0, 1}), {0, 1, 2}, {0, 1});
}

TEST(TokensByRank, PaddingIsNotLookedAt) {
  // Four rows an expert: two are padding of expert 0, one of expert 1.
  expect_rows(Plans(0, 4).rows_of({0, 1, 77, -1, 0, 0, 1, 77}), {0, 2, 3, 5}, {0, 4, 5, 1, 6});
}

TEST(TokensByRank, PlansThatDisagreeAreRefused) {
  EXPECT_EQ(refusal({0, 0, 0, 0, 0}), "tokens by rank: 2 came, the plan says 3");
  EXPECT_EQ(refusal({0, 1, 5, 0, 1}), "tokens by rank: more came than 3");
}

}  // namespace
}  // namespace coe
