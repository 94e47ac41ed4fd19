#include "runtime/routing/contest.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/runtime/routing/slow_admission.h"
#include "tests/runtime/routing/tensors.h"
#include "tests/runtime/routing/thread_seconds.h"

namespace coe {
namespace {

/// All ranks of a contest, one after the other on this one.
class AllRanks {
 public:
  /// Every rank asks `asks` times for experts that the low ones of get more of; few scores differ, so that bars are
  /// shared.
  AllRanks(int ranks, std::int64_t experts, std::int64_t asks, std::int64_t places)
      : experts_(experts), room_(static_cast<std::size_t>(experts), places) {
    std::mt19937 random(7);
    std::geometric_distribution<std::int32_t> expert(4.0 / static_cast<double>(experts));
    std::uniform_int_distribution<int> score(1, 100);
    std::vector<std::int32_t> table(static_cast<std::size_t>(ranks * experts));
    for (int r = 0; r < ranks; ++r) {
      std::vector<std::int32_t>& wanted = expert_of_.emplace_back();
      std::vector<float>& scores = score_of_.emplace_back();
      for (std::int64_t j = 0; j < asks; ++j) {
        wanted.push_back(std::min(expert(random), static_cast<std::int32_t>(experts) - 1));
        scores.push_back(static_cast<float>(score(random)) / 100);
        ++table[static_cast<std::size_t>(r * experts + wanted.back())];
      }
    }
    counts_ = table;
  }

  int ranks() const { return static_cast<int>(expert_of_.size()); }
  Tensor table(Arena& arena) const { return tensor_of<std::int32_t>({ranks(), experts_}, counts_, arena); }
  Contest contest(int rank, const Tensor& table, Arena& arena) const { return {room_, table, rank, arena}; }
  Asks asks(int rank, Arena& arena) const {
    const auto at = static_cast<std::size_t>(rank);
    const auto count = std::ssize(expert_of_[at]);
    return {tensor_of<std::int32_t>({count}, expert_of_[at], arena), tensor_of<float>({count}, score_of_[at], arena),
            arena.make<std::uint8_t>({count})};
  }

  /// The table of what is granted, the slow way.
  std::vector<std::int32_t> slow_table() const {
    std::vector<SlowAsk> all;
    for (std::size_t r = 0; r < expert_of_.size(); ++r) {
      for (std::size_t j = 0; j < expert_of_[r].size(); ++j) all.push_back({r, expert_of_[r][j], score_of_[r][j]});
    }
    std::vector<std::int64_t> room = room_;
    std::vector<std::int32_t> granted(counts_.size());
    for (const SlowAsk& ask : slow_grants(DropPolicy::kProbability, all, room)) {
      ++granted[ask.token * static_cast<std::size_t>(experts_) + static_cast<std::size_t>(ask.expert)];
    }
    return granted;
  }

  /// What every rank's contest makes of all scores: verdicts in rank order.
  std::vector<std::int32_t> verdicts() const {
    Arena arena;
    const Tensor asked = table(arena);
    std::vector<std::vector<float>> heard(expert_of_.size());
    for (int r = 0; r < ranks(); ++r) {
      ArenaScope one(arena);
      const Contest mine = contest(r, asked, arena);
      const auto scores = mine.list_scores(asks(r, arena), arena);
      auto next = scores.begin();
      for (std::size_t judge = 0; judge < heard.size(); ++judge) {
        const auto end = next + static_cast<std::ptrdiff_t>(mine.scores_to()[judge]);
        heard[judge].insert(heard[judge].end(), next, end);
        next = end;
      }
      EXPECT_TRUE(next == scores.end());
    }
    std::vector<std::int32_t> all;
    for (int r = 0; r < ranks(); ++r) {
      ArenaScope one(arena);
      const Contest mine = contest(r, asked, arena);
      EXPECT_EQ(mine.scores_heard(), std::ssize(heard[static_cast<std::size_t>(r)]));
      const auto said = mine.judge(heard[static_cast<std::size_t>(r)], arena);
      EXPECT_EQ(said.size(), mine.verdicts_from()[static_cast<std::size_t>(r)]);
      all.insert(all.end(), said.begin(), said.end());
    }
    return all;
  }

 private:
  std::int64_t experts_;
  std::vector<std::int64_t> room_;
  std::vector<std::int32_t> counts_;
  std::vector<std::vector<std::int32_t>> expert_of_;
  std::vector<std::vector<float>> score_of_;
};

TEST(Contest, SixtyFourAndFiveHundredRanksGrantWhatOneWould) {
  for (const int ranks : {4, 64, 512}) {
    for (const std::int64_t experts : {8, 48}) {
      const std::int64_t asks = 16;
      const AllRanks all(ranks, experts, asks, ranks * asks / experts);
      Arena arena;
      const Tensor table = all.table(arena);
      const Contest contest = all.contest(0, table, arena);
      ASSERT_TRUE(contest.is_held());
      const std::vector<std::int32_t> verdicts = all.verdicts();
      ASSERT_EQ(std::ssize(verdicts), contest.verdicts());
      contest.announce(verdicts, arena);
      EXPECT_EQ(values_of<std::int32_t>(table), all.slow_table()) << ranks << " ranks, " << experts << " experts";
    }
  }
}

TEST(Contest, WithoutRoomNobodyPasses) {
  const AllRanks all(3, 8, 16, 0);
  Arena arena;
  const Tensor table = all.table(arena);
  const Contest contest = all.contest(1, table, arena);
  const auto bars = contest.announce(all.verdicts(), arena);
  EXPECT_EQ(values_of<std::int32_t>(table), std::vector<std::int32_t>(24, 0));
  EXPECT_EQ(bars.front(), std::numeric_limits<float>::infinity());
}

TEST(Contest, WithRoomForAllThereIsNone) {
  const AllRanks all(3, 8, 16, 48);
  Arena arena;
  const Tensor table = all.table(arena);
  EXPECT_FALSE(all.contest(1, table, arena).is_held());
}

// As many ranks squared would take 64 times as long.
TEST(Contest, EightTimesTheRanksTakeNotMuchMoreThanEightTimesAsLong) {
  const auto seconds = [](int ranks) {
    const AllRanks all(ranks, 1024, 64, ranks / 32);
    Arena arena;
    const Tensor table = all.table(arena);
    return thread_seconds([&] {
      ArenaScope one(arena);
      const Contest contest = all.contest(0, table, arena);
      contest.list_scores(all.asks(0, arena), arena);
      contest.judge(std::vector<float>(static_cast<std::size_t>(contest.scores_heard())), arena);
    });
  };
  EXPECT_LT(seconds(512), 24 * seconds(64));
}

}  // namespace
}  // namespace coe
