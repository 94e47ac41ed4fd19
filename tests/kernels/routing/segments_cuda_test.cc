#include "kernels/routing/segments.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/kernels/routing/held_buckets.h"

namespace coe {
namespace {

/// Rows of so many sources for so many buckets, of which they hold uneven numbers, in their order or in none.
struct Case {
  int sources, buckets;
  std::int64_t block;
  bool shuffled = false;
};

class SegmentsCuda : public BucketsOnCuda, public testing::WithParamInterface<Case> {};

HeldBuckets held_buckets(const Case& c) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(c.buckets));
  std::iota(order.begin(), order.end(), 0);
  if (c.shuffled) std::ranges::shuffle(order, std::mt19937(5));
  const auto first = [&](int s) { return order.begin() + s * s * c.buckets / (c.sources * c.sources); };
  std::vector<std::vector<std::int32_t>> held;
  for (int s = 0; s < c.sources; ++s) held.emplace_back(first(s), first(s + 1));
  return HeldBuckets(held);
}
Ints table_of(const Case& c) {
  Ints table({c.sources, c.buckets});
  for (std::int64_t i = 0; i < c.sources * c.buckets; ++i) table[i] = static_cast<std::int32_t>(i * 7 % 5);
  return table;
}

TEST_P(SegmentsCuda, RowsGoToTheirPlacesByBucketAndBack) {
  const Case c = GetParam();
  const HeldBuckets all = held_buckets(c);
  const Ints table = table_of(c);
  const cuda::Holders holders = put(all);
  for (int holder = 0; holder < c.sources; ++holder) {
    const std::vector<std::int32_t>& mine = all.held[static_cast<std::size_t>(holder)];
    const auto held = static_cast<std::int32_t>(mine.size());
    if (held == 0) continue;
    // Who came from where, the slow way: a row's number among what arrived, in order of bucket, source, token.
    std::vector<std::int32_t> wanted;
    std::vector<std::int32_t> arrived_of(static_cast<std::size_t>(c.sources));
    std::vector<std::vector<std::int32_t>> begins(static_cast<std::size_t>(c.sources));
    std::int32_t next = 0;
    for (int s = 0; s < c.sources; ++s) {
      if (c.block > 0) next = static_cast<std::int32_t>(s * c.block);
      for (const std::int32_t b : mine) {
        begins[static_cast<std::size_t>(s)].push_back(next);
        next += table[s * c.buckets + b];
        arrived_of[static_cast<std::size_t>(s)] += table[s * c.buckets + b];
      }
    }
    for (std::int32_t b = 0; b < held; ++b) {
      for (int s = 0; s < c.sources; ++s) {
        for (std::int32_t i = 0; i < table[s * c.buckets + mine[static_cast<std::size_t>(b)]]; ++i) {
          wanted.push_back(begins[static_cast<std::size_t>(s)][static_cast<std::size_t>(b)] + i);
        }
      }
    }
    const std::int64_t room = c.block > 0 ? c.sources * c.block : next, rows = std::ssize(wanted), width = 12;
    const cuda::BucketPlaces places{put(Ints({c.buckets})), put(Ints({held + 1})), put(Ints({held}))};
    cuda::place_buckets(put(table), holders, holder, 0, places, stream_);
    const Tensor segments = put(Ints({held, c.sources, 3}));
    cuda::place_segments(put(table), holders, holder, c.block, places.row_offsets, segments, stream_);
    const Tensor sizes = put(Ints({c.sources, 2}));
    cuda::size_messages(put(table), holders, holder, sizes, stream_);
    for (int s = 0; s < c.sources; ++s) {
      std::int32_t sent = 0;
      for (const std::int32_t b : all.held[static_cast<std::size_t>(s)]) sent += table[holder * c.buckets + b];
      EXPECT_EQ(get<std::int32_t>(sizes)[2 * s], sent);
      EXPECT_EQ(get<std::int32_t>(sizes)[2 * s + 1], arrived_of[static_cast<std::size_t>(s)]);
    }

    const Floats x = normal_tensor({room, width}, 3), scalar = normal_tensor({room}, 4);
    const cuda::SegmentRows arrived{put(x, DType::kBF16), put(scalar)};
    const cuda::SegmentRows by_bucket{this->room(DType::kBF16, {rows, width}), this->room(DType::kF32, {rows})};
    cuda::gather_segments(segments, arrived, by_bucket, stream_);
    const Floats got = get<float>(by_bucket.rows), got_scalar = get<float>(by_bucket.scalar);
    const Floats sent = get<float>(arrived.rows);
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t from = wanted[static_cast<std::size_t>(i)];
      EXPECT_EQ(got_scalar[i], scalar[from]);
      for (std::int64_t d = 0; d < width; ++d) ASSERT_EQ(got[i * width + d], sent[from * width + d]) << i;
    }
    const cuda::SegmentRows back{this->room(DType::kBF16, {room, width}), {}};
    cuda::scatter_segments(segments, {by_bucket.rows, {}}, back, stream_);
    const Floats returned = get<float>(back.rows);
    for (const std::int32_t from : wanted) {
      for (std::int64_t d = 0; d < width; ++d) ASSERT_EQ(returned[from * width + d], sent[from * width + d]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, SegmentsCuda,
                         testing::Values(Case{1, 3, 0}, Case{2, 5, 0}, Case{4, 9, 0}, Case{7, 64, 0}, Case{3, 300, 0},
                                         Case{4, 9, 20}, Case{7, 64, 130}, Case{2, 5, 0, true}, Case{7, 64, 0, true},
                                         Case{4, 9, 20, true}));

using SentPlacesCuda = BucketsOnCuda;
TEST_F(SentPlacesCuda, KnowHoldersWithoutBeingOne) {
  // One source's rows for three holders of buckets 0-1, 2, 3-5.
  const Ints table({1, 6}, {2, 3, 4, 5, 6, 7});
  const cuda::Holders holders = put(HeldBuckets({{0, 1}, {2}, {3, 4, 5}}));
  const Tensor begin = put(Ints({6}));
  cuda::place_buckets(put(table), holders, 0, 0, {begin, {}, {}}, stream_);
  EXPECT_EQ(get<std::int32_t>(begin).values(), (std::vector<std::int32_t>{0, 2, 0, 0, 5, 11}));
}

}  // namespace
}  // namespace coe
