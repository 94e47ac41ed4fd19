#include "runtime/exchange/row_mail.h"

#include <gtest/gtest.h>

#include "tests/ranks.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

TEST(RowMailOnRanks, RowsLandInTheirPlacesAndComeBackAsThePlanSendsThem) {
  on_ranks(2, [](Transport& world) {
    // Rank 0 holds experts 0 and 1, rank 1 expert 2. Token 0 of rank 0 goes to 0 and 2, the one of rank 1 to 1.
    Arena arena;
    const std::vector<Choices> all = {{{{0, 0.5}, {2, 0.25}}}, {{{1, 1.0}}}};
    const auto rank = static_cast<std::size_t>(world.rank());
    const Routing routing = routing_of(3, all[rank], arena);
    const Placement placement(3, 2);
    const Tensor table = table_of(all, 3, true, arena);
    const DispatchPlan plan = make_dispatch_plan(routing, table, placement, world.rank(), arena);
    RowMail mail(1, {world.rank() != 0, world.rank() != 1});
    const Tensor x = tensor_of<float>({1, 1}, {static_cast<float>(world.rank() + 1)}, arena);
    const std::int64_t rows = plan.expert_rows();
    const ExpertRows places{arena.zeros<float>({rows, 1}), arena.zeros<float>({rows}), plan.expert_offsets};
    mail.begin_dispatch({&world}, plan, x, &routing.weight, places, {"dispatch"});
    mail.finish({&world}, {"dispatch"});
    // Rank 0's own row for expert 0 is none of the mail's business.
    EXPECT_EQ(values_of<float>(places.rows), rank == 0 ? (std::vector<float>{0, 2}) : std::vector<float>{1});
    EXPECT_EQ(values_of<float>(places.scalar), rank == 0 ? (std::vector<float>{0, 1}) : std::vector<float>{0.25F});
    for (float& value : places.rows.span<float>()) value *= 10;
    mail.begin_combine({&world}, plan, places, {"combine"});
    mail.finish({&world}, {"combine"});
    const std::int64_t sent = rank == 0 ? 1 : 0;  // rank 0's first row stays, its second travels
    EXPECT_EQ(*mail.row(1 - world.rank(), sent), rank == 0 ? 10.0F : 20.0F);
    EXPECT_EQ(*mail.scalar(1 - world.rank(), sent), rank == 0 ? 0.25F : 1.0F);
  });
}

TEST(RowMail, WithoutRanksToReachNothingHappens) {
  on_ranks(1, [](Transport& world) {
    RowMail mail(1, {false});
    mail.begin_dispatch({&world}, {}, {}, nullptr, {}, {"dispatch"});
    mail.finish({&world}, {"dispatch"});
  });
}

}  // namespace
}  // namespace coe
