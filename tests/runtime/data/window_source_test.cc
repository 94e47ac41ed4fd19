#include "runtime/data/window_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "tests/bad_input.h"

namespace coe {

namespace {

using testing::ElementsAre;

/// Token i is i.
class Counting final : public TokenArray {
 public:
  explicit Counting(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  void copy(std::int64_t first, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    for (std::uint8_t& mark : marks) mark = static_cast<std::uint8_t>(first + (&mark - marks.data()));
    for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(first++);
  }

 private:
  std::int64_t size_;
};

WindowSource source(std::int64_t size, WindowRange range, std::optional<RandomKey> shuffle = std::nullopt) {
  return {std::make_unique<Counting>(size), range, 4, 1000, shuffle};
}

std::vector<std::int32_t> read(const TokenSource& from, std::int64_t index) {
  std::vector<std::int32_t> tokens(5);
  from.read(index, tokens, {});
  return tokens;
}

std::vector<std::int32_t> first_tokens(const TokenSource& from, std::int64_t begin, std::int64_t end) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = begin; i < end; ++i) tokens.push_back(read(from, i).front());
  return tokens;
}

TEST(WindowSourceTest, WindowKStartsAtTokenKTimesS) {
  const WindowSource windows = source(13, {0, 3});
  EXPECT_EQ(windows.sequences(), 3);
  EXPECT_EQ(windows.vocab(), 1000);
  EXPECT_THAT(read(windows, 0), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(read(windows, 2), ElementsAre(8, 9, 10, 11, 12));
}

TEST(WindowSourceTest, GivesTheMarksOfItsTokens) {
  const WindowSource windows = source(13, {0, 3});
  std::vector<std::int32_t> tokens(5);
  std::vector<std::uint8_t> marks(5);
  windows.read(1, tokens, marks);
  EXPECT_THAT(tokens, ElementsAre(4, 5, 6, 7, 8));
  EXPECT_THAT(marks, ElementsAre(4, 5, 6, 7, 8));
  EXPECT_FALSE(windows.marked());
}

TEST(WindowSourceTest, BeginsAgainAfterTheLastWindow) {
  const WindowSource windows = source(13, {1, 2});
  EXPECT_EQ(first_tokens(windows, 0, 5), (std::vector{4, 8, 4, 8, 4}));
}

TEST(WindowSourceTest, ShufflesEveryEpochAnotherWay) {
  const WindowSource windows = source(401, {0, 100}, RandomKey{1, 2});
  std::vector<std::vector<std::int32_t>> epochs;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    epochs.push_back(first_tokens(windows, 100 * epoch, 100 * epoch + 100));
    const std::set<std::int32_t> met(epochs.back().begin(), epochs.back().end());
    EXPECT_EQ(met.size(), 100U);
    EXPECT_FALSE(std::ranges::is_sorted(epochs.back()));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_EQ(first_tokens(source(401, {0, 100}, RandomKey{1, 2}), 0, 100), epochs[0]);
  EXPECT_NE(first_tokens(source(401, {0, 100}, RandomKey{2, 2}), 0, 100), epochs[0]);
}

TEST(WindowSourceTest, StaysInsideItsRangeWhenShuffled) {
  const WindowSource windows = source(401, {90, 10}, RandomKey{1, 2});
  std::vector<std::int32_t> met = first_tokens(windows, 0, 10);
  std::ranges::sort(met);
  EXPECT_THAT(met, ElementsAre(360, 364, 368, 372, 376, 380, 384, 388, 392, 396));
}

TEST(WindowSourceTest, RefusesWindowsBeyondTheEnd) {
  EXPECT_EQ(bad_input([] { source(12, {0, 3}); }), "window source: windows end at token 13, there are 12");
}

TEST(WindowSourceTest, RefusesToReadAnotherLength) {
  const WindowSource windows = source(13, {0, 3});
  std::vector<std::int32_t> tokens(4);
  EXPECT_EQ(bad_input([&] { windows.read(0, tokens, {}); }),
            "window source: sequence 0 of 4 tokens is asked for, must be of 5");
}

}  // namespace

}  // namespace coe
