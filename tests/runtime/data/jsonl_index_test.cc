#include "runtime/data/jsonl_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/bad_input.h"
#include "tests/ranks.h"

namespace coe {
namespace {

const std::vector<std::string> kFields = {"t"};

/// Rows of 0 to 999 letters, and one that is longer than what a rank goes through at once; some 24 MB.
const std::string& long_text() {
  static const std::string text = [] {
    std::string lines;
    const auto add = [&](std::size_t letters) { lines += "{\"t\": \"" + std::string(letters, 'x') + "\"}\n"; };
    for (std::size_t row = 0; row < 20'000; ++row) add(row * 7 % 1000);
    add(9'000'000);
    for (std::size_t row = 0; row < 10'000; ++row) add(row * 11 % 1000);
    return lines;
  }();
  return text;
}

TEST(JsonlIndex, CountsTheTokensOfRowsAndTheirEnds) {
  const std::string text = "{\"t\": \"abc\"}\n\r\n{\"t\": \"\"}\n{\"t\": \"d\"}";
  JsonlIndex index(text, 0, "x", kFields, 256);
  index.extend(1000);
  EXPECT_TRUE(index.at_end());
  EXPECT_EQ(index.tokens(), 5 + 2 + 3);
  EXPECT_EQ(index.before(9).byte, 0);
}

TEST(JsonlIndex, RowsWithoutTextDoNotCountBeforeThereIsSome) {
  const std::string text = "{\"t\": \"\"}\n{\"t\": \"\"}\n{\"t\": \"abc\"}\n{\"t\": \"\"}\n";
  JsonlIndex index(text, 0, "x", kFields, 256);
  index.extend(5);
  EXPECT_FALSE(index.at_end());
  index.extend(1000);
  EXPECT_EQ(index.tokens(), 5 + 2);
  EXPECT_EQ(index.before(0).byte, 20);
}

TEST(JsonlIndexOnRanks, RanksThatShareTheWorkFindWhatOneFinds) {
  const std::string& text = long_text();
  JsonlIndex alone(text, 0, "x", kFields, 256);
  alone.extend(static_cast<std::int64_t>(text.size()));
  for_each_ranks([&](Transport& world) {
    JsonlIndex shared(text, 0, "x", kFields, 256);
    shared.extend(100'000);
    shared.extend_to_end({&world});
    EXPECT_TRUE(shared.at_end());
    ASSERT_EQ(shared.tokens(), alone.tokens());
    for (std::int64_t token = 0; token < alone.tokens(); token += 99'991) {
      const JsonlPlace place = shared.before(token);
      EXPECT_LE(place.token, token);
      EXPECT_LE(token - place.token, alone.before(token).token == token ? 0 : 9'100'000);
      // A place holds by itself: from it on the rest of the tokens is found.
      if (token % 7 != 0) continue;
      JsonlIndex rest(text, place.byte, "x", kFields, 256);
      rest.extend(static_cast<std::int64_t>(text.size()));
      EXPECT_EQ(place.token + rest.tokens(), alone.tokens());
    }
  });
}

TEST(JsonlIndexOnRanks, EveryRankNamesTheSameLine) {
  std::string text = long_text();
  const std::size_t wrong = text.rfind("\"t\"");
  text[wrong + 1] = 'u';
  for_each_ranks([&](Transport& world) {
    JsonlIndex index(text, 0, "x.jsonl", kFields, 256);
    index.extend(1000);
    EXPECT_EQ(bad_input([&] { index.extend_to_end({&world}); }),
              "x.jsonl:30001: lacks the field \"t\" of data.fields; it has \"u\"");
  });
}

TEST(JsonlIndexOnRanks, OneThatIsAskedStopsAllMidway) {
  const std::string& text = long_text();
  for (const int ranks : {1, 2}) {
    on_ranks(ranks, [&](Transport& world) {
      JsonlIndex index(text, 0, "x", kFields, 256);
      int times = 0;
      const auto asked = [&] { return ++times == 2 && world.rank() == world.size() - 1; };
      EXPECT_THROW(index.extend_to_end({&world}, asked), Stopped);
      EXPECT_GT(index.tokens(), 0);
      EXPECT_FALSE(index.at_end());
    });
  }
}

TEST(JsonlIndex, HasFewPlacesOfMuchText) {
  const std::string& text = long_text();
  JsonlIndex index(text, 0, "x", kFields, 256);
  index.extend(static_cast<std::int64_t>(text.size()));
  EXPECT_LE(index.places(), text.size() / 4096 + 1);
  EXPECT_GE(index.places(), 15'000'000U / 5200);
}

}  // namespace
}  // namespace coe
