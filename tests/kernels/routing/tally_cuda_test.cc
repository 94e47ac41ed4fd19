#include "kernels/routing/tally.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

using Longs = Owned<std::int64_t>;
using Bytes = Owned<std::uint8_t>;
using TallyCuda = OnCuda;

TEST_F(TallyCuda, AddsTheHostsCounts) {
  for (const std::int64_t n : {1, 9, 1000}) {
    const Ints counts({n});
    const Longs sums({n});
    for (std::int64_t i = 0; i < n; ++i) {
      counts[i] = static_cast<std::int32_t>(i * 7 % 1013);
      sums[i] = (std::int64_t{1} << 40) + i;
    }
    const Tensor there = put(sums);
    for (int twice = 0; twice < 2; ++twice) {
      tally(put(counts), there, stream_);
      tally(counts, sums, host_stream());
    }
    EXPECT_EQ(get<std::int64_t>(there).values(), sums.values());
  }
}

TEST_F(TallyCuda, CountsWhatHasAPlaceThatNoRouterChose) {
  constexpr std::int64_t kTokens = 700, kEach = 3, kRoom = kTokens * kEach + 50;
  const Ints offsets({kTokens + 1}), holder({kRoom});
  const Bytes chosen({kRoom});
  std::int64_t wanted = 5;
  for (std::int64_t t = 0; t <= kTokens; ++t) offsets[t] = static_cast<std::int32_t>(t * kEach);
  for (std::int64_t j = 0; j < kRoom; ++j) {
    holder[j] = static_cast<std::int32_t>(j % 4) - 1;
    chosen[j] = j % 3 == 0 ? 1 : 0;
    if (j < kTokens * kEach && holder[j] >= 0 && chosen[j] == 0) ++wanted;
  }
  const Tensor sum = put(Longs({1}, {5}));
  cuda::tally_rerouted(put(offsets), put(chosen), put(holder), sum, stream_);
  EXPECT_EQ(get<std::int64_t>(sum)[0], wanted);
}

}  // namespace
}  // namespace coe
