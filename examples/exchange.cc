// An exchange alone: three thread ranks with one expert each, two tokens a rank, a routing written by hand.
// Token t of rank r is the row (10 r + t + 1). Experts multiply rows by 1, 10 and 100; mixing weights are 0.5.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

#include "comm/make_transport.h"
#include "runtime/exchange/one_copy_exchange.h"

namespace coe {
namespace {

constexpr std::int64_t kRanks = 3, kHidden = 1, kTokens = 2;
constexpr std::array kScales = {1.0F, 10.0F, 100.0F};
constexpr std::array kChoices = {0, 1, 0, 2};  // token 0 goes to experts 0 and 1, token 1 to 0 and 2

Routing make_routing(Arena& arena) {
  Routing routing{.experts = kRanks,
                  .offsets = arena.make<std::int32_t>({kTokens + 1}),
                  .expert = arena.make<std::int32_t>({2 * kTokens}),
                  .weight = arena.make<float>({2 * kTokens}),
                  .score = arena.zeros<float>({2 * kTokens}),
                  .chosen = arena.make<std::uint8_t>({2 * kTokens}),
                  .kept = arena.make<std::uint8_t>({2 * kTokens})};
  for (int t = 0; t <= kTokens; ++t) routing.offsets.data<std::int32_t>()[t] = 2 * t;
  std::ranges::copy(kChoices, routing.expert.data<std::int32_t>());
  std::ranges::fill(routing.weight.span<float>(), 0.5F);
  std::ranges::fill(routing.chosen.span<std::uint8_t>(), std::uint8_t{1});
  std::ranges::fill(routing.kept.span<std::uint8_t>(), std::uint8_t{1});
  return routing;
}

/// Returns what to print; counts wrong numbers.
std::string run_rank(Transport& world, int& wrong) {
  const Group group{&world};
  const int rank = world.rank();
  Arena arena;
  const Tensor x = arena.make<float>({kTokens, kHidden}), sum = arena.zeros<float>({kTokens, kHidden});
  for (int t = 0; t < kTokens; ++t) x.data<float>()[t] = static_cast<float>(10 * rank + t + 1);

  // The plan is arithmetic on the table of rows per (rank, expert), which all ranks have.
  const Routing routing = make_routing(arena);
  const std::array<std::int32_t, kRanks> mine = {2, 1, 1};
  const Tensor table = arena.make<std::int32_t>({kRanks, kRanks});
  all_gather<std::int32_t>(group, mine, table.span<std::int32_t>(), {"table"});
  const DispatchPlan plan = make_dispatch_plan(routing, table, Placement(kRanks, kRanks), rank, arena);

  OneCopyExchange exchange(group, kHidden);
  Flight flight = exchange.begin(plan, {.x = &x, .weights = routing.weight}, {"dispatch"});
  const ExpertRows rows = flight.arrived().get();
  std::string text = fmt::format("rank {0} holds expert {0} and got the rows", rank);
  for (std::int64_t i = 0; i < rows.rows.extent(0); ++i) text += fmt::format(" {}", rows.rows.data<float>()[i]);

  std::ranges::transform(rows.rows.span<float>(), flight.results().rows.data<float>(),
                         [&](float value) { return value * kScales.at(rank); });
  flight.send_back({"combine"});
  flight.combine({.sum = sum}, {}).get();
  for (std::size_t t = 0; t < kTokens; ++t) {
    const float before = x.data<float>()[t], after = sum.data<float>()[t];
    const float factor = 0.5F * (kScales[0] + kScales.at(kChoices.at(2 * t + 1)));  // 5.5 or 50.5
    text += fmt::format("\n  its own row {} came back as {}, {} times as much", before, after, factor);
    wrong += after != factor * before;
  }
  wrong += rows.rows.extent(0) != (rank == 0 ? 6 : 3);
  return text;
}

}  // namespace
}  // namespace coe

int main() {
  std::array<std::string, coe::kRanks> texts;
  std::array<int, coe::kRanks> wrong{};
  coe::run_local_ranks(coe::kRanks, [&](coe::Transport& world) {
    texts.at(world.rank()) = coe::run_rank(world, wrong.at(world.rank()));
  });
  for (const std::string& text : texts) fmt::print("{}\n", text);
  return wrong == std::array<int, coe::kRanks>{} ? 0 : 1;
}
