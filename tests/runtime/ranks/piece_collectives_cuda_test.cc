#include "runtime/ranks/piece_collectives.h"

#include <vector>

#include "runtime/ranks/make_device_messages.h"
#include "runtime/ranks/read_back.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};
constexpr std::int64_t kEach = 37;

/// Numbers whose float sums depend on the order.
float number(int rank, std::int64_t i) { return 1.0F / static_cast<float>(1 + (i * 7 + rank * 13) % 1009); }

/// Several times in a row, as memory that is shown is used again.
void expect_sums_and_gathers(const Group& group, const Stream& stream) {
  PieceCollectives collectives(group, kEach * group.size(), stream);
  const std::int64_t all = kEach * group.size(), first = kEach * group.rank();
  std::vector<float> mine(static_cast<std::size_t>(all)), sums(mine.size());
  for (std::int64_t i = 0; i < all; ++i) {
    mine[static_cast<std::size_t>(i)] = number(group.rank(), i);
    for (int rank = 0; rank < group.size(); ++rank) sums[static_cast<std::size_t>(i)] += number(rank, i);
  }
  const Buffer memory(mine.size() * sizeof(float), stream.device());
  const Tensor values(memory.data(), DType::kF32, {all}, stream.device());
  for (int time = 0; time < 3; ++time) {
    copy(Tensor(mine.data(), DType::kF32, {all}), values, stream);
    collectives.begin_sum(values, time == 1, kPhase);
    if (time == 2) collectives.advance();
    collectives.finish();
    if (time == 1) EXPECT_EQ(read_back<float>(values, group, stream, kPhase), sums) << "gathered at once";
    const Tensor piece = values.rows(first, kEach);
    const auto own = sums.begin() + first;
    EXPECT_EQ(read_back<float>(piece, group, stream, kPhase), std::vector<float>(own, own + kEach));
    collectives.all_gather(piece, values, kPhase);
    EXPECT_EQ(read_back<float>(values, group, stream, kPhase), sums);
  }
}

TEST(PieceCollectivesOnRanks, SumInRankOrderAndGather) {
  for_each_ranks([](Transport& world) { expect_sums_and_gathers({&world}, host_stream()); });
}

class PieceCollectivesCuda : public OnCuda, public testing::WithParamInterface<DeviceReach> {};

TEST_P(PieceCollectivesCuda, SumInRankOrderAndGather) {
  for (const int ranks : {1, 2, 3, 7}) {
    if (GetParam() == DeviceReach::kNccl && !nccl_connects(ranks)) GTEST_SKIP() << kNoNccl;
    on_ranks(ranks, [&](Transport& world) {
      const Stream stream(kCuda);
      const auto messages = make_device_messages({&world}, {kCuda, GetParam()});
      expect_sums_and_gathers({&world, world.deadline(), nullptr, messages.get()}, stream);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, PieceCollectivesCuda,
                         testing::Values(DeviceReach::kMapped, DeviceReach::kHost, DeviceReach::kNccl));

}  // namespace
}  // namespace coe
