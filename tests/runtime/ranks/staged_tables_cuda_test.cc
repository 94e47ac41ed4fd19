#include "runtime/ranks/staged_tables.h"

#include "comm/make_transport.h"
#include "runtime/ranks/read_back.h"
#include "tests/bad_input.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};
constexpr std::int64_t kExperts = 5;
using StagedTablesCuda = OnCuda;

std::int32_t count(int rank, int round, std::int64_t expert) {
  return static_cast<std::int32_t>(100 * rank + 10 * round + expert);
}

TEST_F(StagedTablesCuda, EveryRankKnowsAllCountsOnItsDevice) {
  for (const int ranks : {1, 2, 3}) {
    run_local_ranks(ranks, [&](Transport& world) {
      const Group group{&world};
      const Stream stream(kCuda);
      StagedTables tables(group, {.experts = kExperts}, stream);
      Arena arena(4096, kCuda);
      for (const int round : {0, 1, 2}) {
        std::vector<std::int32_t> mine, all;
        for (std::int64_t e = 0; e < kExperts; ++e) mine.push_back(count(world.rank(), round, e));
        for (int rank = 0; rank < ranks; ++rank) {
          for (std::int64_t e = 0; e < kExperts; ++e) all.push_back(count(rank, round, e));
        }
        const Tensor counts = arena.make<std::int32_t>({1, kExperts});
        copy(Tensor(mine.data(), DType::kI32, counts.shape()), counts, stream);
        tables.tell(counts, round, kPhase);
        tables.told().get();
        EXPECT_EQ(read_back<std::int32_t>(tables.table(round), group, stream, kPhase), all);
      }
      EXPECT_EQ(read_back<std::int32_t>(tables.table(0), group, stream, kPhase)[0], 0) << "rounds stand apart";
    });
  }
}

TEST_F(StagedTablesCuda, ScoresAreRefused) {
  const auto world = make_transport("local");
  bad_input([&] { StagedTables({world.get()}, {.experts = kExperts, .scores = 8}, stream_); });
}

}  // namespace
}  // namespace coe
