#include "runtime/ranks/stream_reduction.h"

#include <vector>

#include "comm/make_transport.h"
#include "runtime/ranks/read_back.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};
using StreamReductionCuda = OnCuda;

float number(int rank, std::int64_t i) { return 1.0F / static_cast<float>(1 + (i * 7 + rank * 13) % 1009); }

/// In rank order.
std::vector<float> sums(int ranks, std::int64_t n) {
  std::vector<float> all(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    for (int rank = 0; rank < ranks; ++rank) all[static_cast<std::size_t>(i)] += number(rank, i);
  }
  return all;
}

TEST_F(StreamReductionCuda, EveryRankHasTheSumsInRankOrder) {
  for (const int ranks : {1, 2, 3, 7}) {
    run_local_ranks(ranks, [&](Transport& world) {
      const Stream stream(kCuda);
      StreamReduction reduction({&world}, 1000, stream);
      for (const std::int64_t n : {1000, 1, 5, 0, 4099}) {
        std::vector<float> mine(static_cast<std::size_t>(n));
        for (std::int64_t i = 0; i < n; ++i) mine[static_cast<std::size_t>(i)] = number(world.rank(), i);
        const Buffer memory(static_cast<std::size_t>(n) * sizeof(float), kCuda);
        const Tensor values(memory.data(), DType::kF32, {n}, kCuda);
        copy(Tensor(mine.data(), DType::kF32, {n}), values, stream);
        reduction.add_up(values, kPhase);
        EXPECT_EQ(read_back<float>(values, {&world}, stream, kPhase), sums(ranks, n)) << n;
      }
    });
  }
}

}  // namespace
}  // namespace coe
