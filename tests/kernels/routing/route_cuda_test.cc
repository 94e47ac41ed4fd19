#include <limits>

#include "kernels/routing/route.h"
#include "kernels/routing/sigmoid.h"
#include "kernels/routing/softmax.h"
#include "kernels/routing/topk.h"
#include "tests/kernels/routing/held_buckets.h"

namespace coe {
namespace {

class RouteCuda : public BucketsOnCuda {
 protected:
  cuda::DeviceChoices choices(std::int64_t tokens, std::int64_t most) {
    return {room(DType::kI32, {tokens + 1}),
            room(DType::kI32, {most}),
            room(DType::kF32, {most}),
            room(DType::kF32, {most}),
            {}};
  }
};

TEST_F(RouteCuda, SoftmaxTopkIsTheCpus) {
  for (const auto& [tokens, n, k] : {std::array<std::int64_t, 3>{13, 5, 2}, {9, 64, 4}, {5, 200, 8}, {3, 1000, 64}}) {
    Floats logits = normal_tensor({tokens, n}, 1);
    for (std::int64_t i = 1; i < n; i += 3) logits[i] = logits[0];  // ties
    Floats p({tokens, n}), sums({tokens});
    softmax(logits, p, sums);
    Ints best({tokens, k});
    topk(p, best);
    const cuda::DeviceChoices made = choices(tokens, tokens * k);
    const cuda::TopkScores scores{.score = room(DType::kF32, {tokens, n}), .logsumexp = room(DType::kF32, {tokens})};
    const Tensor lost = put(Ints({1}, {cuda::kNoneLost}));
    cuda::route_topk(put(logits), {}, {.top_k = k, .scale = 2}, scores, made, lost, stream_);
    EXPECT_EQ(get<std::int32_t>(made.expert).values(), best.values());
    EXPECT_LE(error_of(get<float>(scores.score), p), 1e-5);
    EXPECT_LE(error_of(get<float>(scores.logsumexp), sums), 1e-5);
    Floats weight({tokens * k});
    for (std::int64_t j = 0; j < tokens * k; ++j) weight[j] = 2 * p[j / k * n + best[j]];
    EXPECT_LE(error_of(get<float>(made.weight), weight), 1e-5);
    EXPECT_EQ(get<std::int32_t>(made.offsets)[tokens], tokens * k);
    EXPECT_EQ(get<std::int32_t>(lost)[0], cuda::kNoneLost);
  }
}

TEST_F(RouteCuda, SigmoidTopkIsTheCpus) {
  for (const auto& [tokens, n, k] : {std::array<std::int64_t, 3>{13, 5, 2}, {9, 64, 4}, {5, 200, 8}, {3, 1000, 64}}) {
    const Floats logits = normal_tensor({tokens, n}, 1, 2);
    Floats s({tokens, n}), sums({tokens}), p({tokens, n}), logsumexp({tokens});
    sigmoid(logits, s, sums);
    softmax(logits, p, logsumexp);
    Ints best({tokens, k});
    topk(s, best);
    const cuda::DeviceChoices made = choices(tokens, tokens * k);
    const cuda::TopkScores scores{.score = put(logits),
                                  .sum = room(DType::kF32, {tokens}),
                                  .probability = room(DType::kF32, {tokens, n}),
                                  .logsumexp = room(DType::kF32, {tokens})};
    const Tensor lost = put(Ints({1}, {cuda::kNoneLost}));
    const cuda::TopkRule rule{.top_k = k, .sigmoid = true, .normalise = true, .scale = 2};
    cuda::route_topk(scores.score, {}, rule, scores, made, lost, stream_);
    EXPECT_EQ(get<std::int32_t>(made.expert).values(), best.values());
    EXPECT_LE(error_of(get<float>(scores.score), s), 1e-5);
    EXPECT_LE(error_of(get<float>(scores.sum), sums), 1e-5);
    EXPECT_LE(error_of(get<float>(scores.probability), p), 1e-5);
    EXPECT_LE(error_of(get<float>(scores.logsumexp), logsumexp), 1e-5);
    Floats weight({tokens * k});
    for (std::int64_t t = 0; t < tokens; ++t) {
      float sum = 0;
      for (std::int64_t j = t * k; j < (t + 1) * k; ++j) sum += s[t * n + best[j]];
      for (std::int64_t j = t * k; j < (t + 1) * k; ++j) weight[j] = 2 * s[t * n + best[j]] / sum;
    }
    EXPECT_LE(error_of(get<float>(made.weight), weight), 1e-5);
  }
}

TEST_F(RouteCuda, GroupsAndBiasChooseAndLostTokensAreTold) {
  // Group 0 is worth 1 + 1, group 1 is worth 3 + 0, group 2 is worth 0 + 0; the bias makes up for the softmax's order.
  const Floats logits({2, 6}, {0, 0, 0, 0, 0, 0, 0, std::numeric_limits<float>::infinity(), 0, 0, 0, 0});
  const Floats bias({6}, {1, 1, 3, 0, 0, 0});
  const cuda::DeviceChoices made = choices(2, 4);
  const cuda::TopkScores scores{.score = room(DType::kF32, {2, 6}), .logsumexp = room(DType::kF32, {2})};
  const Tensor lost = put(Ints({1}, {cuda::kNoneLost}));
  const cuda::TopkRule rule{.top_k = 2, .groups = 3, .groups_kept = 1, .normalise = true, .scale = 3};
  cuda::route_topk(put(logits), put(bias), rule, scores, made, lost, stream_);
  EXPECT_EQ(get<std::int32_t>(made.expert).values(), (std::vector<std::int32_t>{2, 3, 2, 3}));
  EXPECT_LE(error_of(get<float>(made.weight), Floats({4}, {1.5F, 1.5F, 1.5F, 1.5F})), 1e-5);
  EXPECT_EQ(get<std::int32_t>(lost)[0], 1);
}

TEST_F(RouteCuda, ReluChoosesWhatIsPositive) {
  const Floats logits({3, 3}, {1, -1, 2, -1, -1, 0, 3, 4, 5});
  const cuda::DeviceChoices made = choices(3, 9);
  const Tensor scores = room(DType::kF32, {3, 3}), lost = put(Ints({1}, {cuda::kNoneLost}));
  cuda::route_relu(put(logits), scores, made, lost, stream_);
  EXPECT_EQ(get<std::int32_t>(made.offsets).values(), (std::vector<std::int32_t>{0, 2, 2, 5}));
  const Ints expert = get<std::int32_t>(made.expert);
  const Floats weight = get<float>(made.weight);
  const std::vector<float> wanted = {1, 2, 3, 4, 5};
  const std::vector<std::int32_t> experts = {0, 2, 0, 1, 2};
  for (std::int64_t j = 0; j < 5; ++j) {
    EXPECT_EQ(expert[j], experts[static_cast<std::size_t>(j)]);
    EXPECT_EQ(weight[j], wanted[static_cast<std::size_t>(j)]);
  }
}

TEST_F(RouteCuda, PlacesStandByBucketSourceAndToken) {
  // Source 1 of two; buckets 0 and 1 are held by source 0, bucket 2 by source 1; source 0 has 1, 0 and 2 choices.
  const Ints offsets({5}, {0, 2, 3, 3, 5}), bucket({5}, {0, 2, 1, 1, 2});
  const cuda::Holders holders = put(HeldBuckets({{0, 1}, {2}}));
  const Tensor kept = put(Owned<std::uint8_t>({5}, {1, 1, 1, 1, 0}));
  const Tensor counts = room(DType::kI32, {3, 3}), totals = room(DType::kI32, {3});
  cuda::count_buckets(put(offsets), put(bucket), kept, counts, stream_);
  EXPECT_EQ(get<std::int32_t>(counts).values(), (std::vector<std::int32_t>{1, 1, 1, 0, 1, 0, 0, 0, 0}));
  cuda::scan_buckets(counts, totals, stream_);
  EXPECT_EQ(get<std::int32_t>(totals).values(), (std::vector<std::int32_t>{1, 2, 1}));
  const Tensor table = put(Ints({2, 3}, {1, 0, 2, 1, 2, 1}));
  const cuda::BucketPlaces places{room(DType::kI32, {3}), room(DType::kI32, {2}), room(DType::kI32, {1})};
  cuda::place_buckets(table, holders, 1, 0, places, stream_);
  EXPECT_EQ(get<std::int32_t>(places.begin).values(), (std::vector<std::int32_t>{1, 2, 2}));
  EXPECT_EQ(get<std::int32_t>(places.row_offsets).values(), (std::vector<std::int32_t>{0, 3}));
  EXPECT_EQ(get<std::int32_t>(places.row_ends).values(), (std::vector<std::int32_t>{3}));
  const cuda::RowPlaces rows{put(offsets), room(DType::kI32, {5}), room(DType::kI32, {5})};
  cuda::scatter_buckets(put(bucket), kept, counts, holders, places, rows, stream_);
  EXPECT_EQ(get<std::int32_t>(rows.holder).values(), (std::vector<std::int32_t>{0, 1, 0, 0, -1}));
  EXPECT_EQ(get<std::int32_t>(rows.row).values(), (std::vector<std::int32_t>{1, 2, 2, 3, -1}));
}

TEST_F(RouteCuda, NobodyHasAPlaceWhereAHolderHasNoRoom) {
  // The choices of the test before: source 0 gets 4 rows, source 1 gets 3.
  const Ints offsets({5}, {0, 2, 3, 3, 5}), bucket({5}, {0, 2, 1, 1, 2});
  const cuda::Holders holders = put(HeldBuckets({{0, 1}, {2}}));
  const Tensor kept = put(Owned<std::uint8_t>({5}, {1, 1, 1, 1, 0})), table = put(Ints({2, 3}, {1, 0, 2, 1, 2, 1}));
  const Tensor counts = room(DType::kI32, {3, 3}), totals = room(DType::kI32, {3});
  cuda::count_buckets(put(offsets), put(bucket), kept, counts, stream_);
  cuda::scan_buckets(counts, totals, stream_);
  for (const std::int64_t fits : {4, 3}) {
    const Tensor lost = put(Ints({1}, {cuda::kNoneLost})), overflow = put(Ints({1}, {0}));
    const cuda::BucketPlaces places{room(DType::kI32, {3}), room(DType::kI32, {2}), room(DType::kI32, {1})};
    cuda::place_buckets(table, holders, 1, 0, places, stream_, {fits, lost, overflow});
    const cuda::RowPlaces rows{put(offsets), room(DType::kI32, {5}), room(DType::kI32, {5})};
    cuda::scatter_buckets(put(bucket), kept, counts, holders, places, rows, stream_);
    const bool full = fits < 4;
    EXPECT_EQ(get<std::int32_t>(overflow)[0], full ? 1 : 0);
    EXPECT_EQ(get<std::int32_t>(lost)[0], full ? cuda::kNoRoom : cuda::kNoneLost);
    EXPECT_EQ(get<std::int32_t>(places.row_offsets).values(), (std::vector<std::int32_t>{0, full ? 0 : 3}));
    EXPECT_EQ(get<std::int32_t>(rows.row)[0], full ? -1 : 1);
    EXPECT_EQ(get<std::int32_t>(rows.holder)[0], full ? -1 : 0);
  }
}

TEST_F(RouteCuda, PlacesFollowEachHoldersOwnOrder) {
  // The same choices; source 0 holds bucket 1, source 1 bucket 2 and then bucket 0.
  const Ints offsets({5}, {0, 2, 3, 3, 5}), bucket({5}, {0, 2, 1, 1, 2});
  const cuda::Holders holders = put(HeldBuckets({{1}, {2, 0}}));
  const Tensor kept = put(Owned<std::uint8_t>({5}, {1, 1, 1, 1, 0}));
  const Tensor counts = room(DType::kI32, {3, 3}), totals = room(DType::kI32, {3});
  cuda::count_buckets(put(offsets), put(bucket), kept, counts, stream_);
  cuda::scan_buckets(counts, totals, stream_);
  const Tensor table = put(Ints({2, 3}, {1, 0, 2, 1, 2, 1}));
  const cuda::RowPlaces rows{put(offsets), room(DType::kI32, {5}), room(DType::kI32, {5})};
  for (const std::int32_t padded : {0, 4}) {
    const cuda::BucketPlaces places{room(DType::kI32, {3}), room(DType::kI32, {3}), room(DType::kI32, {2})};
    cuda::place_buckets(table, holders, 1, padded, places, stream_);
    const std::int32_t second = padded > 0 ? padded : 3;  // where bucket 0 begins, behind bucket 2's three rows
    EXPECT_EQ(get<std::int32_t>(places.begin).values(), (std::vector<std::int32_t>{second + 1, 0, 2}));
    EXPECT_EQ(get<std::int32_t>(places.row_offsets).values(),
              (std::vector<std::int32_t>{0, second, padded > 0 ? 2 * padded : 5}));
    EXPECT_EQ(get<std::int32_t>(places.row_ends).values(), (std::vector<std::int32_t>{3, second + 2}));
    cuda::scatter_buckets(put(bucket), kept, counts, holders, places, rows, stream_);
    EXPECT_EQ(get<std::int32_t>(rows.holder).values(), (std::vector<std::int32_t>{1, 1, 0, 0, -1}));
    EXPECT_EQ(get<std::int32_t>(rows.row).values(), (std::vector<std::int32_t>{second + 1, 2, 0, 1, -1}));
  }
}

}  // namespace
}  // namespace coe
