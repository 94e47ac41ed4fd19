#include "runtime/ranks/stream_placement.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using StreamPlacementCuda = OnCuda;

TEST_F(StreamPlacementCuda, SaysWhoHoldsWhatInWhichOrder) {
  const auto ids = [](std::vector<std::int64_t> some) { return ExpertIds(std::move(some)); };
  const StreamPlacement there(Placement(std::vector<ExpertIds>{ids({3, 0}), ids({}), ids({1, 4, 2})}), stream_);
  const std::vector<std::int32_t> begins = {0, 2, 2, 5};
  EXPECT_EQ(get<std::int32_t>(there.holders().first).values(), begins);
  EXPECT_EQ(get<std::int32_t>(there.holders().bucket).values(), (std::vector<std::int32_t>{3, 0, 1, 4, 2}));
  EXPECT_EQ(get<std::int32_t>(there.holders().holder).values(), (std::vector<std::int32_t>{0, 2, 2, 0, 2}));
  const auto here = there.first().span<std::int32_t>();
  EXPECT_EQ(std::vector<std::int32_t>(here.begin(), here.end()), begins);
}

}  // namespace
}  // namespace coe
