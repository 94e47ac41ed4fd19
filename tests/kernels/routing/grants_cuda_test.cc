#include "kernels/routing/grants.h"

#include <algorithm>
#include <random>

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

/// What all sources ask for: few different scores, so that many tie, and nearly everybody wants bucket 0.
struct Asks {
  Asks(std::int64_t sources, std::int64_t buckets, int most, unsigned seed) : table({sources, buckets}) {
    std::mt19937 random(seed);
    for (std::int64_t s = 0; s < sources; ++s) {
      lists.emplace_back();
      const bool idle = s % 3 == 1;
      for (std::int64_t n = 0; n < buckets && !idle; ++n) {
        const auto count = static_cast<std::int32_t>(n == 0 ? most : random() % 7);
        table[s * buckets + n] = count;
        for (std::int32_t i = 0; i < count; ++i) lists.back().push_back(static_cast<float>(random() % 5) / 8);
      }
    }
  }
  Ints table;
  std::vector<std::vector<float>> lists;  ///< by source
};

/// What the first source took of a bucket before.
std::int32_t taken_before(std::size_t source, std::int64_t bucket, std::int32_t capacity) {
  return source == 0 ? std::min(capacity, static_cast<std::int32_t>(bucket % 3)) : 0;
}

/// Grants of every source, by sorting each bucket's asks where scores count.
std::vector<std::vector<std::uint8_t>> sorted_grants(const Asks& asks, std::int32_t capacity, bool by_score) {
  const std::int64_t sources = asks.table.tensor().extent(0), buckets = asks.table.tensor().extent(1);
  struct Ask {
    float score;
    std::size_t source, at;
  };
  std::vector<std::vector<std::uint8_t>> granted;
  for (const std::vector<float>& list : asks.lists) granted.emplace_back(list.size());
  std::vector<std::size_t> next(static_cast<std::size_t>(sources));
  for (std::int64_t n = 0; n < buckets; ++n) {
    std::vector<Ask> contenders;
    for (std::size_t s = 0; s < next.size(); ++s) {
      for (std::int32_t i = 0; i < asks.table[static_cast<std::int64_t>(s) * buckets + n]; ++i, ++next[s]) {
        contenders.push_back({asks.lists[s][next[s]], s, next[s]});
      }
    }
    if (by_score) std::ranges::stable_sort(contenders, std::greater<>(), &Ask::score);
    const std::int32_t room = capacity - taken_before(0, n, capacity);
    contenders.resize(std::min(contenders.size(), static_cast<std::size_t>(room)));
    for (const Ask& ask : contenders) granted[ask.source][ask.at] = 1;
  }
  return granted;
}

class GrantsCuda : public OnCuda {
 protected:
  void compare(const Asks& asks, std::int32_t capacity, bool by_score) {
    const std::int64_t sources = asks.table.tensor().extent(0), buckets = asks.table.tensor().extent(1);
    const auto wanted = sorted_grants(asks, capacity, by_score);
    const Ints before({sources, buckets}), after({sources, buckets});
    Owned<std::int64_t> addresses({sources});
    for (std::int64_t s = 0; s < sources; ++s) {
      const auto& list = asks.lists[static_cast<std::size_t>(s)];
      std::size_t at = 0;
      for (std::int64_t i = s * buckets; i < (s + 1) * buckets; ++i) {
        after[i] = before[i] = taken_before(static_cast<std::size_t>(s), i % buckets, capacity);
        for (std::int32_t j = 0; j < asks.table[i]; ++j) after[i] += wanted[static_cast<std::size_t>(s)][at++];
      }
      addresses[s] = reinterpret_cast<std::int64_t>(put(Floats({std::ssize(list)}, list)).raw());
    }
    const Tensor table = put(asks.table), lists = put(addresses);
    for (int s = 0; s < sources; ++s) {
      const auto& mine = wanted[static_cast<std::size_t>(s)];
      const Tensor taken = put(before), granted = room(DType::kU8, {std::ssize(mine)});
      if (by_score) {
        cuda::grant_by_score(table, lists, s, capacity, taken, granted, stream_);
      } else {
        cuda::grant_by_position(table, s, capacity, taken, granted, stream_);
      }
      EXPECT_EQ(get<std::uint8_t>(granted).values(), mine) << "source " << s;
      EXPECT_EQ(get<std::int32_t>(taken).values(), after.values()) << "source " << s;
    }
  }
};

TEST_F(GrantsCuda, TheFirstOrTheLargestScoresWinAndTiesGoToTheEarlier) {
  for (const int sources : {1, 4, 7}) {
    for (const auto& [buckets, most] : {std::pair{1, 0}, std::pair{1, 1000}, std::pair{9, 40}, std::pair{130, 257}}) {
      const Asks asks(sources, buckets, most, 3);
      for (const std::int32_t capacity : {1, 5, 100, 100000}) {
        for (const bool by_score : {false, true}) compare(asks, capacity, by_score);
      }
    }
  }
}

TEST_F(GrantsCuda, ScoresAreListedAndGrantsComeBack) {
  // Three tokens, the last of which does not ask; what stands behind them is nobody's.
  const Tensor offsets = put(Ints({4}, {0, 2, 3, 4})), place = put(Ints({5}, {2, 0, 1, -1, 9}));
  const Tensor list = room(DType::kF32, {5}), kept = put(Owned<std::uint8_t>({5}, {7, 7, 7, 7, 7}));
  cuda::list_scores(offsets, place, put(Floats({5}, {1, 2, 3, 4, 5})), list, stream_);
  const Floats listed = get<float>(list);
  EXPECT_EQ(std::vector(listed.begin(), listed.begin() + 3), (std::vector<float>{2, 3, 1}));
  EXPECT_TRUE(std::isnan(listed[3]));
  cuda::mark_kept(offsets, place, put(Owned<std::uint8_t>({5}, {1, 0, 1, 7, 7})), kept, stream_);
  EXPECT_EQ(get<std::uint8_t>(kept).values(), (std::vector<std::uint8_t>{1, 1, 0, 7, 7}));
}

}  // namespace
}  // namespace coe
