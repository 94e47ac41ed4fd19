#include "launcher/bench/random_traffic.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "kernels/memory/random.h"

namespace coe {
namespace {

constexpr std::uint64_t kSeed = 11;

/// Logarithm of how much each expert is wanted; the order of the experts is drawn too, or the first rank had them all.
std::vector<double> preferences(std::int64_t experts, double skew) {
  std::vector<double> wanted(static_cast<std::size_t>(experts));
  for (std::size_t e = 0; e < wanted.size(); ++e) wanted[e] = -skew * std::log(static_cast<double>(e + 1));
  for (std::size_t e = wanted.size(); e > 1; --e) std::swap(wanted[e - 1], wanted[random_below({kSeed, 0}, e, e)]);
  return wanted;
}

/// Adding Gumbel noise and taking the K largest draws K without replacement (Efraimidis and Spirakis 2006).
void draw_experts(const std::vector<double>& wanted, RandomKey key, std::uint64_t token, std::vector<double>& noisy,
                  std::vector<std::int32_t>& order, std::span<std::int32_t> chosen) {
  for (std::size_t e = 0; e < wanted.size(); ++e) {
    const double uniform = 1 - static_cast<double>(random_uniform(key, token * wanted.size() + e));
    noisy[e] = wanted[e] - std::log(-std::log(uniform * (1 - 1e-9)));
  }
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + static_cast<std::ptrdiff_t>(chosen.size());
  std::ranges::nth_element(order, end - 1, std::greater<>(),
                           [&](std::int32_t e) { return noisy[static_cast<std::size_t>(e)]; });
  std::partial_sort_copy(order.begin(), end, chosen.begin(), chosen.end());
}

}  // namespace

Routing random_routing(const Benchmark& benchmark, int rank, Arena& arena) {
  const std::int64_t tokens = benchmark.tokens, top_k = benchmark.layer.top_k, experts = benchmark.layer.experts;
  const Shape choices{tokens * top_k};
  const Routing routing{.experts = experts,
                        .offsets = arena.make<std::int32_t>({tokens + 1}),
                        .expert = arena.make<std::int32_t>(choices),
                        .weight = arena.make<float>(choices),
                        .score = arena.make<float>(choices),
                        .chosen = arena.make<std::uint8_t>(choices),
                        .kept = arena.make<std::uint8_t>(choices)};
  std::ranges::fill(routing.weight.span<float>(), 1 / static_cast<float>(top_k));
  std::ranges::fill(routing.score.span<float>(), 1.0F);
  std::ranges::fill(routing.chosen.span<std::uint8_t>(), std::uint8_t{1});
  std::ranges::fill(routing.kept.span<std::uint8_t>(), std::uint8_t{1});
  const std::vector<double> wanted = preferences(experts, benchmark.skew);
  std::vector<double> noisy(wanted.size());
  std::vector<std::int32_t> order(wanted.size());
  const RandomKey key{kSeed, static_cast<std::uint64_t>(rank) + 1};
  for (std::int64_t t = 0; t <= tokens; ++t) {
    routing.offsets.data<std::int32_t>()[t] = static_cast<std::int32_t>(t * top_k);
    if (t == tokens) break;
    draw_experts(wanted, key, static_cast<std::uint64_t>(t), noisy, order,
                 routing.expert.rows(t * top_k, top_k).span<std::int32_t>());
  }
  return routing;
}

DispatchPlan plan_of(const Routing& routing, const Placement& placement, Group group, Arena& arena) {
  const Tensor counts = arena.make<std::int32_t>({1, routing.experts});
  const Tensor table = arena.make<std::int32_t>({group.size(), routing.experts});
  count_choices(routing, 0, routing.tokens(), counts.span<std::int32_t>());
  all_gather<std::int32_t>(group, counts.span<std::int32_t>(), table.span<std::int32_t>(), {"plan"});
  return make_dispatch_plan(routing, table, placement, group.rank(), arena);
}

RowsElsewhere count_rows_elsewhere(const Routing& routing, const Placement& placement, int rank) {
  RowsElsewhere rows;
  const auto* offsets = routing.offsets.data<std::int32_t>();
  std::set<int> met;
  for (std::int64_t t = 0; t < routing.tokens(); ++t) {
    met.clear();
    for (std::int32_t j = offsets[t]; j < offsets[t + 1]; ++j) {
      const int there = placement.rank_of(routing.expert.data<std::int32_t>()[j]);
      if (there == rank) continue;
      rows.every_choice += 1;
      met.insert(there);
    }
    rows.once_per_rank += static_cast<double>(met.size());
  }
  return rows;
}

RowsElsewhere expected_rows_elsewhere(std::int64_t tokens, std::int64_t top_k, const Placement& placement, int rank) {
  const auto experts = static_cast<double>(placement.experts());
  RowsElsewhere a_token;
  for (int there = 0; there < placement.ranks(); ++there) {
    if (there == rank) continue;
    const auto held = static_cast<double>(placement.experts_of(there).count());
    double missed = 1;
    for (std::int64_t i = 0; i < top_k; ++i) {
      const auto drawn = static_cast<double>(i);
      missed *= std::max(0.0, experts - held - drawn) / (experts - drawn);
    }
    a_token.every_choice += static_cast<double>(top_k) * held / experts;
    a_token.once_per_rank += 1 - missed;
  }
  const auto all = static_cast<double>(tokens);
  return {all * a_token.every_choice, all * a_token.once_per_rank};
}

}  // namespace coe
