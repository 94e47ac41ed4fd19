#include "runtime/layer/expert_tasks.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

using Rows = std::vector<std::vector<std::int64_t>>;

/// {expert, first, rows} of what a walk visits.
struct Walks {
  Walks(const std::vector<std::int32_t>& offsets, int threads) {
    Arena arena;
    const ExpertTasks tasks(tensor_of<std::int32_t>({std::ssize(offsets)}, offsets, arena), threads, arena);
    const auto into = [](Rows& rows) {
      return [&rows](const TaskRows& task) {
        rows.push_back({static_cast<std::int64_t>(task.expert), task.first, task.rows});
      };
    };
    tasks.for_each_whole(into(whole));
    tasks.for_each_split(into(split));
    tasks.for_each_tile(into(tiles));
    splits = tasks.splits();
    most_rows = tasks.most_rows();
  }
  Rows whole, split, tiles;
  bool splits = false;
  std::int64_t most_rows = 0;
};

TEST(ExpertTasks, LargestExpertsComeFirstAndIdleOnesNever) {
  const Walks walks({0, 2, 2, 7, 9}, 4);
  EXPECT_EQ(walks.whole, (Rows{{2, 2, 5}, {0, 0, 2}, {3, 7, 2}}));
  EXPECT_FALSE(walks.splits);
  EXPECT_EQ(walks.most_rows, 5);
}

TEST(ExpertTasks, OneThreadSplitsNothing) {
  const Walks walks({0, 5000}, 1);
  EXPECT_EQ(walks.whole, (Rows{{0, 0, 5000}}));
  EXPECT_EQ(walks.most_rows, 5000);
}

TEST(ExpertTasks, AnExpertThatWouldKeepAThreadBusyIsSplitIntoTiles) {
  // 1,000 of 1,400 rows are more than a quarter of a thread's share; 400 of 2 threads' 700 as well.
  const Walks walks({0, 1000, 1400}, 2);
  EXPECT_EQ(walks.split, (Rows{{0, 0, 1000}, {1, 1000, 400}}));
  EXPECT_EQ(walks.tiles, (Rows{{0, 0, 384}, {0, 384, 384}, {0, 768, 232}, {1, 1000, 384}, {1, 1384, 16}}));
  EXPECT_EQ(walks.whole, Rows{});
  EXPECT_EQ(walks.most_rows, 384);
}

TEST(ExpertTasks, AnExpertOfATilesRowsOrLessIsNotSplit) {
  const Walks walks({0, 384}, 8);
  EXPECT_FALSE(walks.splits);
  EXPECT_EQ(walks.whole, (Rows{{0, 0, 384}}));
}

TEST(ExpertTasks, ThereMayBeNoRows) {
  const Walks walks({0, 0, 0}, 2);
  EXPECT_TRUE(walks.whole.empty() && walks.tiles.empty());
  EXPECT_EQ(walks.most_rows, 0);
}

}  // namespace
}  // namespace coe
