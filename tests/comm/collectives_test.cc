#include "comm/collectives.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "comm/make_transport.h"
#include "tests/node_transport.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr Phase kPhase{.name = "test"};

TEST(CollectivesOnRanks, BarrierWaitsForTheLastRank) {
  for_each_ranks([](Transport& transport) {
    using Clock = std::chrono::steady_clock;
    const int last = transport.size() - 1;
    if (transport.rank() == last) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Clock::rep entered = Clock::now().time_since_epoch().count();
    barrier({&transport}, kPhase);
    const Clock::rep left = Clock::now().time_since_epoch().count();
    broadcast({&transport}, std::as_writable_bytes(std::span(&entered, 1)), last, kPhase);
    EXPECT_GE(left, entered);
  });
}

TEST(CollectivesOnRanks, BroadcastGivesEveryRankTheRootsBytes) {
  for_each_ranks([](Transport& transport) {
    for (int root = 0; root < transport.size(); ++root) {
      std::vector<std::int32_t> values(1000, -1);
      if (transport.rank() == root) std::iota(values.begin(), values.end(), root);
      broadcast({&transport}, std::as_writable_bytes(std::span(values)), root, kPhase);
      for (int i = 0; i < 1000; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], root + i);
    }
  });
}

TEST(CollectivesOnRanks, BroadcastRefusesARootOutsideTheGroup) {
  for_each_ranks([](Transport& transport) {
    EXPECT_THROW(broadcast({&transport}, {}, transport.size(), kPhase), Error);
    EXPECT_THROW(broadcast({&transport}, {}, -1, kPhase), Error);
  });
}

TEST(CollectivesOnRanks, AllGatherIsInRankOrder) {
  for_each_ranks([](Transport& transport) {
    const std::vector<double> mine = {10.0 * transport.rank(), 10.0 * transport.rank() + 1};
    std::vector<double> all(2 * static_cast<std::size_t>(transport.size()), -1.0);
    all_gather<double>({&transport}, mine, all, kPhase);
    for (int rank = 0; rank < transport.size(); ++rank) {
      const auto at = 2 * static_cast<std::size_t>(rank);
      EXPECT_EQ(all[at], 10.0 * rank);
      EXPECT_EQ(all[at + 1], 10.0 * rank + 1);
    }
  });
}

TEST(CollectivesOnRanks, AllGatherOfNothingIsNothing) {
  for_each_ranks([](Transport& transport) { all_gather<float>({&transport}, {}, {}, kPhase); });
}

TEST(CollectivesOnRanks, AllGatherRefusesAnOutputOfAnotherSize) {
  for_each_ranks([](Transport& transport) {
    const float mine = 1.0F;
    EXPECT_THROW(all_gather<float>({&transport}, {&mine, 1}, {}, kPhase), Error);
  });
}

TEST(CollectivesOnRanks, AllGatherBytesTakesAnySizeFromEachRank) {
  for_each_ranks([](Transport& transport) {
    const auto text = [](int rank) { return std::string(static_cast<std::size_t>(rank % 3 * 5), char('a' + rank)); };
    const std::string mine = text(transport.rank());
    const auto all = all_gather_bytes({&transport}, std::as_bytes(std::span(mine)), kPhase);
    ASSERT_EQ(all.size(), static_cast<std::size_t>(transport.size()));
    for (int rank = 0; rank < transport.size(); ++rank) {
      const auto& bytes = all[static_cast<std::size_t>(rank)];
      EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), text(rank));
    }
  });
}

/// Element `i` of rank `rank`: numbers whose float sums depend on the order.
template <class T>
T term(int rank, std::size_t i) {
  const auto scale = std::pow(10.0, (rank * 5 + static_cast<int>(i % 7)) % 9);
  return static_cast<T>(scale * (1.0 + static_cast<double>(i % 1013) / 3.0));
}

template <class T>
void expect_sums(Transport& transport, std::size_t count) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = term<T>(transport.rank(), i);
  all_reduce_sum<T>({&transport}, values, kPhase);
  for (std::size_t i = 0; i < count; ++i) {
    T sum = term<T>(0, i);
    for (int rank = 1; rank < transport.size(); ++rank) sum += term<T>(rank, i);
    ASSERT_EQ(values[i], sum) << "element " << i << " of " << count;
  }
}

TEST(CollectivesOnRanks, SumsAreTakenInAscendingRankOrderWhateverTheirSize) {
  for_each_ranks([](Transport& transport) {
    for (const std::size_t count : {0, 1, 3, 7, 500, 4097, 300'001}) expect_sums<float>(transport, count);
    expect_sums<double>(transport, 150'003);
  });
}

TEST(CollectivesOnRanks, EveryRankHasTheSumsOfItsOwnPart) {
  for_each_ranks([](Transport& transport) {
    for (const std::size_t each : {0, 1, 7, 4097, 300'001}) {
      std::vector<float> values(each * static_cast<std::size_t>(transport.size()));
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = term<float>(transport.rank(), i);
      reduce_scatter_sum<float>({&transport}, values, kPhase);
      const std::size_t first = each * static_cast<std::size_t>(transport.rank());
      for (std::size_t i = first; i < first + each; ++i) {
        float sum = term<float>(0, i);
        for (int rank = 1; rank < transport.size(); ++rank) sum += term<float>(rank, i);
        ASSERT_EQ(values[i], sum) << "element " << i << " of " << values.size();
      }
    }
    std::vector<float> uneven(static_cast<std::size_t>(transport.size()) + 1);
    if (transport.size() > 1) EXPECT_THROW(reduce_scatter_sum<float>({&transport}, uneven, kPhase), Error);
  });
}

// 4 MiB over 32 ranks: 64 KiB from every rank at once are two rounds each way.
TEST(Collectives, ASumOfManyRanksStaysOneOfLongMessages) {
  constexpr int kRanks = 32;
  run_local_ranks(kRanks, [](Transport& world) {
    NodeTransport counted(world, 1);
    std::vector<float> values(1 << 20, 1.0F);
    all_reduce_sum<float>({&counted}, values, kPhase);
    EXPECT_EQ(counted.messages_sent(), 2U * 2 * (kRanks - 1));
    EXPECT_EQ(values.front(), 32.0F);
    EXPECT_EQ(values.back(), 32.0F);
  });
}

TEST(CollectivesOnRanks, IntegersSumExactly) {
  for_each_ranks([](Transport& transport) {
    for (const std::size_t count : {1, 5000}) {
      std::vector<std::int32_t> small(count, transport.rank() + 1);
      std::vector<std::int64_t> large(count, (std::int64_t{1} << 40) + transport.rank());
      all_reduce_sum<std::int32_t>({&transport}, small, kPhase);
      all_reduce_sum<std::int64_t>({&transport}, large, kPhase);
      const int ranks = transport.size();
      EXPECT_EQ(small, std::vector<std::int32_t>(count, ranks * (ranks + 1) / 2));
      EXPECT_EQ(large, std::vector<std::int64_t>(count, (std::int64_t{1} << 40) * ranks + ranks * (ranks - 1) / 2));
    }
  });
}

TEST(CollectivesOnRanks, FloatsSumAsWorkedByHand) {
  on_ranks(4, [](Transport& transport) {
    // Ascending: ((1 + 2^24) + 1) - 2^24. 2^24 + 1 rounds to even, 2^24, so both ones are lost; another order keeps
    // one.
    constexpr float kTerms[] = {1.0F, 16777216.0F, 1.0F, -16777216.0F};
    float value = kTerms[transport.rank()];
    all_reduce_sum<float>({&transport}, {&value, 1}, kPhase);
    EXPECT_EQ(value, 0.0F);
  });
}

/// Rank r sends (r + 2 p) mod 4 elements to rank p, and rank 1 nothing at all: uneven, with ranks that have nothing.
std::size_t count_between(int from, int to) { return from == 1 ? 0 : static_cast<std::size_t>((from + 2 * to) % 4); }

TEST(CollectivesOnRanks, AllToAllMovesUnevenBlocks) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank();
    std::vector<std::size_t> send_counts, receive_counts;
    std::vector<std::int32_t> send, expected;
    for (int peer = 0; peer < transport.size(); ++peer) {
      send_counts.push_back(count_between(me, peer));
      receive_counts.push_back(count_between(peer, me));
      for (std::size_t i = 0; i < send_counts.back(); ++i) send.push_back(100 * me + 10 * peer + static_cast<int>(i));
      for (std::size_t i = 0; i < receive_counts.back(); ++i)
        expected.push_back(100 * peer + 10 * me + static_cast<int>(i));
    }
    std::vector<std::int32_t> received(expected.size(), -1);
    all_to_all<std::int32_t>({&transport}, send, send_counts, received, receive_counts, kPhase);
    EXPECT_EQ(received, expected);
  });
}

TEST(CollectivesOnRanks, AllGatherUnevenKeepsRankOrder) {
  for_each_ranks([](Transport& transport) {
    // Rank r has r of them, so rank 0 none.
    std::vector<std::size_t> counts;
    std::vector<std::int32_t> expected;
    for (std::int32_t r = 0; r < transport.size(); ++r) {
      counts.push_back(static_cast<std::size_t>(r));
      for (std::int32_t i = 0; i < r; ++i) expected.push_back(100 * r + i);
    }
    std::vector<std::int32_t> mine, all(expected.size());
    for (std::int32_t i = 0; i < transport.rank(); ++i) mine.push_back(100 * transport.rank() + i);
    all_gather_uneven<std::int32_t>({&transport}, mine, all, counts, kPhase);
    EXPECT_EQ(all, expected);
    mine.push_back(0);
    EXPECT_THROW(all_gather_uneven<std::int32_t>({&transport}, mine, all, counts, kPhase), Error);
    all.push_back(0);
    mine.pop_back();
    EXPECT_THROW(all_gather_uneven<std::int32_t>({&transport}, mine, all, counts, kPhase), Error);
  });
}

TEST(CollectivesOnRanks, AllToAllRefusesCountsThatDoNotFit) {
  for_each_ranks([](Transport& transport) {
    const auto ranks = static_cast<std::size_t>(transport.size());
    const std::vector<std::size_t> none(ranks, 0), one(ranks, 1), few(ranks - 1, 0);
    EXPECT_THROW(all_to_all<float>({&transport}, {}, one, {}, none, kPhase), Error);
    EXPECT_THROW(all_to_all<float>({&transport}, {}, none, {}, one, kPhase), Error);
    EXPECT_THROW(all_to_all<float>({&transport}, {}, few, {}, none, kPhase), Error);
    const std::vector<float> values(ranks);
    EXPECT_THROW(all_to_all<float>({&transport}, values, one, {}, none, kPhase), Error);
  });
}

TEST(CollectivesOnRanks, CollectivesFollowEachOtherWithoutABarrier) {
  for_each_ranks([](Transport& transport) {
    for (int round = 0; round < 50; ++round) {
      std::int64_t sum = transport.rank() + round;
      all_reduce_sum<std::int64_t>({&transport}, {&sum, 1}, kPhase);
      const int ranks = transport.size();
      ASSERT_EQ(sum, ranks * (ranks - 1) / 2 + ranks * round);
      std::int64_t word = transport.rank() == round % ranks ? round : -1;
      broadcast({&transport}, std::as_writable_bytes(std::span(&word, 1)), round % ranks, kPhase);
      ASSERT_EQ(word, round);
    }
  });
}

}  // namespace
}  // namespace coe
