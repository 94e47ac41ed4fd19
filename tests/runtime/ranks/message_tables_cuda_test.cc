#include "runtime/ranks/message_tables.h"

#include "comm/make_transport.h"
#include "runtime/ranks/make_device_messages.h"
#include "runtime/ranks/read_back.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};
constexpr std::int64_t kExperts = 5, kScores = 3;
class MessageTablesCuda : public OnCuda, public testing::WithParamInterface<DeviceReach> {};

std::int32_t count(int rank, int round, std::int64_t expert) {
  return static_cast<std::int32_t>(100 * rank + 10 * round + expert);
}

/// What all ranks tell in a round.
std::vector<std::int32_t> counts_of(int ranks, int round) {
  std::vector<std::int32_t> all;
  for (int rank = 0; rank < ranks; ++rank) {
    for (std::int64_t e = 0; e < kExperts; ++e) all.push_back(count(rank, round, e));
  }
  return all;
}

std::vector<float> scores_of(int rank, int round) {
  std::vector<float> scores;
  for (std::int64_t i = 0; i < kScores; ++i) scores.push_back(static_cast<float>(count(rank, round, i)) + 0.5F);
  return scores;
}

TEST_P(MessageTablesCuda, EveryRankKnowsAllCountsAndScoresOnItsDevice) {
  for (const int ranks : {1, 2, 3}) {
    if (GetParam() == DeviceReach::kNccl && !nccl_connects(ranks)) GTEST_SKIP() << kNoNccl;
    run_local_ranks(ranks, [&](Transport& world) {
      const auto messages = make_device_messages({&world}, {kCuda, GetParam()});
      const Group group{&world, world.deadline(), nullptr, messages.get()};
      const Stream stream(kCuda);
      MessageTables tables(group, {.experts = kExperts, .scores = kScores}, stream);
      Arena arena(4096, kCuda);
      for (const int round : {0, 1, 2}) {
        std::vector<std::int32_t> mine = counts_of(ranks, round);
        mine.erase(mine.begin(), mine.begin() + world.rank() * kExperts);
        const Tensor counts = arena.make<std::int32_t>({1, kExperts});
        copy(Tensor(mine.data(), DType::kI32, counts.shape()), counts, stream);
        std::vector<float> scores = scores_of(world.rank(), round);
        copy(Tensor(scores.data(), DType::kF32, {kScores}), tables.scores(round), stream);
        tables.tell(counts, round, kPhase);
        tables.told().get();
        if (round == 0) {
          tables.tell_scores(kPhase);
          tables.told().get();
        }
        EXPECT_EQ(read_back<std::int32_t>(tables.table(round), group, stream, kPhase), counts_of(ranks, round));
        const auto lists = read_back<std::int64_t>(tables.score_lists(round), group, stream, kPhase);
        for (int rank = 0; rank < ranks; ++rank) {
          const Tensor there(reinterpret_cast<std::byte*>(lists[static_cast<std::size_t>(rank)]), DType::kF32,
                             {kScores}, kCuda);
          EXPECT_EQ(read_back<float>(there, group, stream, kPhase), scores_of(rank, round));
        }
      }
      EXPECT_EQ(read_back<std::int32_t>(tables.table(0), group, stream, kPhase)[0], 0) << "rounds stand apart";
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, MessageTablesCuda, testing::Values(DeviceReach::kHost, DeviceReach::kNccl));

}  // namespace
}  // namespace coe
