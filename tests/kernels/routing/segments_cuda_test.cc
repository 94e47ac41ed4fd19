#include "kernels/routing/segments.h"

#include <numeric>

#include "kernels/routing/buckets.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

/// Rows of so many sources for so many buckets, which they hold in runs of uneven lengths.
struct Case {
  int sources, buckets;
  std::int64_t block;
};

class SegmentsCuda : public OnCuda, public testing::WithParamInterface<Case> {};

Ints firsts(const Case& c) {
  Ints first({c.sources + 1});
  for (int s = 0; s <= c.sources; ++s) first[s] = s * s * c.buckets / (c.sources * c.sources);
  return first;
}
Ints table_of(const Case& c) {
  Ints table({c.sources, c.buckets});
  for (std::int64_t i = 0; i < c.sources * c.buckets; ++i) table[i] = static_cast<std::int32_t>(i * 7 % 5);
  return table;
}

TEST_P(SegmentsCuda, RowsGoToTheirPlacesByBucketAndBack) {
  const Case c = GetParam();
  const Ints first = firsts(c), table = table_of(c);
  for (int holder = 0; holder < c.sources; ++holder) {
    const std::int32_t begin = first[holder], held = first[holder + 1] - begin;
    if (held == 0) continue;
    // Who came from where, the slow way: a row's number among what arrived, in order of bucket, source, token.
    std::vector<std::int32_t> wanted;
    std::vector<std::int32_t> arrived_of(static_cast<std::size_t>(c.sources));
    std::vector<std::vector<std::int32_t>> begins(static_cast<std::size_t>(c.sources));
    std::int32_t next = 0;
    for (int s = 0; s < c.sources; ++s) {
      if (c.block > 0) next = static_cast<std::int32_t>(s * c.block);
      for (std::int32_t b = 0; b < held; ++b) {
        begins[static_cast<std::size_t>(s)].push_back(next);
        next += table[s * c.buckets + begin + b];
        arrived_of[static_cast<std::size_t>(s)] += table[s * c.buckets + begin + b];
      }
    }
    for (std::int32_t b = 0; b < held; ++b) {
      for (int s = 0; s < c.sources; ++s) {
        for (std::int32_t i = 0; i < table[s * c.buckets + begin + b]; ++i) {
          wanted.push_back(begins[static_cast<std::size_t>(s)][static_cast<std::size_t>(b)] + i);
        }
      }
    }
    const std::int64_t room = c.block > 0 ? c.sources * c.block : next, rows = std::ssize(wanted), width = 12;
    const cuda::BucketPlaces places{put(Ints({c.buckets})), put(Ints({held + 1})), put(Ints({held}))};
    cuda::place_buckets(put(table), put(first), holder, 0, places, stream_);
    const Tensor segments = put(Ints({held, c.sources, 3}));
    cuda::place_segments(put(table), put(first), holder, c.block, places.row_offsets, segments, stream_);
    const Tensor sizes = put(Ints({c.sources, 2}));
    cuda::size_messages(put(table), put(first), holder, sizes, stream_);
    for (int s = 0; s < c.sources; ++s) {
      const auto* row = &table[holder * c.buckets];
      EXPECT_EQ(get<std::int32_t>(sizes)[2 * s], std::accumulate(row + first[s], row + first[s + 1], 0));
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
                                         Case{4, 9, 20}, Case{7, 64, 130}));

using SentPlacesCuda = OnCuda;
TEST_F(SentPlacesCuda, KnowHoldersWithoutBeingOne) {
  // One source's rows for three holders of buckets 0-1, 2, 3-5.
  const Ints table({1, 6}, {2, 3, 4, 5, 6, 7}), first({4}, {0, 2, 3, 6});
  const Tensor begin = put(Ints({6}));
  cuda::place_buckets(put(table), put(first), 0, 0, {begin, {}, {}}, stream_);
  EXPECT_EQ(get<std::int32_t>(begin).values(), (std::vector<std::int32_t>{0, 2, 0, 0, 5, 11}));
}

}  // namespace
}  // namespace coe
