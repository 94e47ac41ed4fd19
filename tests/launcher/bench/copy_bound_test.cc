#include "launcher/bench/copy_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "kernels/memory/arena.h"
#include "launcher/bench/random_traffic.h"
#include "tests/ranks.h"

namespace coe {
namespace {

/// All rows of `rows`, in ascending order of their first number.
std::vector<float> firsts(const Tensor& rows) {
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < rows.extent(0); ++i) numbers.push_back(rows.data<float>()[i * rows.extent(1)]);
  std::ranges::sort(numbers);
  return numbers;
}

TEST(CopyBoundOnRanks, BringsEveryRowToTheExpertsRankAndBack) {
  on_ranks(2, [](Transport& world) {
    Benchmark benchmark;
    benchmark.tokens = 3;
    benchmark.layer.experts = benchmark.layer.top_k = 2;  // every token goes once to each rank
    Arena arena;
    const Group group{&world};
    const DispatchPlan plan = plan_of(random_routing(benchmark, world.rank(), arena), Placement(2, 2), group, arena);
    const CopyBound bound(group, plan, 2);
    const Tensor x = arena.zeros<float>({3, 2});
    for (int t = 0; t < 3; ++t) x.data<float>()[2 * t] = static_cast<float>(10 * world.rank() + t);
    bound.copy_out_of_tokens(x);
    barrier(group, {"test"});
    EXPECT_EQ(firsts(bound.landed()), (std::vector<float>{0, 1, 2, 10, 11, 12}));

    std::ranges::fill(bound.results().span<float>(), static_cast<float>(world.rank() + 1));
    barrier(group, {"test"});
    bound.copy_back_to_choices();
    EXPECT_EQ(firsts(bound.returned()), (std::vector<float>{1, 1, 1, 2, 2, 2}));
    std::ranges::fill(bound.returned().span<float>(), 0.0F);
    bound.copy_back_packed();
    EXPECT_EQ(firsts(bound.returned()), (std::vector<float>{1, 1, 1, 2, 2, 2}));

    barrier(group, {"test"});
    std::ranges::fill(bound.packed().span<float>(), static_cast<float>(world.rank() + 5));
    bound.copy_out_packed();
    barrier(group, {"test"});
    EXPECT_EQ(firsts(bound.landed()), (std::vector<float>{5, 5, 5, 6, 6, 6}));
  });
}

}  // namespace
}  // namespace coe
