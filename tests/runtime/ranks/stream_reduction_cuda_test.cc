#include "runtime/ranks/stream_reduction.h"

#include <thread>
#include <vector>

#include "comm/make_transport.h"
#include "runtime/ranks/read_back.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr Phase kPhase{"test"};
using StreamReductionCuda = OnCuda;

float number(int rank, std::int64_t i) { return 1.0F / static_cast<float>(1 + (i * 7 + rank * 13) % 1009); }

/// Elements [first, first + n) in rank order.
std::vector<float> sums(int ranks, std::int64_t first, std::int64_t n) {
  std::vector<float> all(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    for (int rank = 0; rank < ranks; ++rank) all[static_cast<std::size_t>(i)] += number(rank, first + i);
  }
  return all;
}

/// fp32 [n] of a rank on the device.
struct Numbers {
  Numbers(int rank, std::int64_t n, const Stream& stream) : memory(static_cast<std::size_t>(n) * sizeof(float), kCuda) {
    std::vector<float> mine(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) mine[static_cast<std::size_t>(i)] = number(rank, i);
    values = Tensor(memory.data(), DType::kF32, {n}, kCuda);
    copy(Tensor(mine.data(), DType::kF32, {n}), values, stream);
    while (!stream.done()) std::this_thread::yield();
  }
  Buffer memory;
  Tensor values;
};

TEST_F(StreamReductionCuda, EveryRankHasTheSumsOfItsPartInRankOrder) {
  for (const int ranks : {1, 2, 3, 7}) {
    run_local_ranks(ranks, [&](Transport& world) {
      const Stream stream(kCuda);
      StreamReduction reduction({&world}, 1000 * ranks, stream);
      for (const std::int64_t each : {1000, 1, 5, 0, 999}) {
        const Numbers numbers(world.rank(), each * ranks, stream);
        reduction.reduce_scatter_sum(numbers.values, kPhase);
        const std::int64_t first = world.rank() * each;
        EXPECT_EQ(read_back<float>(numbers.values.rows(first, each), {&world}, stream, kPhase),
                  sums(ranks, first, each));
      }
    });
  }
}

TEST_F(StreamReductionCuda, PartsOfAllAreGatheredFromApartAndFromWithin) {
  run_local_ranks(3, [&](Transport& world) {
    const Stream stream(kCuda);
    StreamReduction reduction({&world}, 12, stream);
    for (const bool within : {false, true, false}) {
      const Numbers all(7, 12, stream), apart(world.rank(), 4, stream);
      const Tensor own = all.values.rows(4 * world.rank(), 4);
      if (within) copy(apart.values, own, stream);
      reduction.all_gather(within ? own : apart.values, all.values, kPhase);
      const std::vector<float> got = read_back<float>(all.values, {&world}, stream, kPhase);
      for (int i = 0; i < 12; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], number(i / 4, i % 4)) << i;
    }
  });
}

TEST_F(StreamReductionCuda, MoreThanThereIsRoomForIsRefused) {
  run_local_ranks(1, [&](Transport& world) {
    const Stream stream(kCuda);
    StreamReduction reduction({&world}, 10, stream);
    const Numbers numbers(0, 11, stream);
    EXPECT_THROW(reduction.reduce_scatter_sum(numbers.values, kPhase), Error);
  });
}

}  // namespace
}  // namespace coe
