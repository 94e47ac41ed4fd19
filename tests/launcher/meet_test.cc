#include "launcher/meet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "comm/make_transport.h"
#include "tests/bad_input.h"

namespace coe {
namespace {

using testing::HasSubstr;

/// Where four ranks run.
std::vector<RankPlace> places() {
  std::vector<RankPlace> places(4);
  for (std::size_t rank = 0; rank < 4; ++rank) {
    places[rank].host = {rank < 2 ? 'a' : 'b'};
    places[rank].process = 10 + static_cast<std::int64_t>(rank);
  }
  return places;
}

RunFacts facts_of(const std::string& rate, const std::string& instructions = "v3") {
  return {{{"version", "1"}, {"data.train", rate}, {"training.learning_rate", rate}},
          {{"build.instructions", instructions}}};
}

TEST(Meet, AnotherMeaningIsRefusedByKeyRanksAndHosts) {
  std::vector<RunFacts> facts{facts_of("1"), facts_of("2"), facts_of("2"), facts_of("1")};
  EXPECT_EQ(
      bad_input([&] { require_same_facts(facts, places()); }),
      "the ranks do not run the same thing: training.learning_rate is 1 on ranks 0 (a, pid 10), 3 (b, pid 13), 2 on "
      "ranks 1 (a, pid 11), 2 (b, pid 12)");
  facts = {facts_of("1"), facts_of("1"), {}, facts_of("1")};
  EXPECT_THAT(
      bad_input([&] { require_same_facts(facts, places()); }),
      HasSubstr("version is 1 on ranks 0 (a, pid 10), 1 (a, pid 11), 3 (b, pid 13), missing on rank 2 (b, pid 12)"));
}

TEST(Meet, AnotherRoundingIsToldAndNamesOfDataAreARanksOwn) {
  std::vector<RunFacts> facts(4, facts_of("1"));
  EXPECT_EQ(require_same_facts(facts, places()), "");
  facts[2].meaning[1].value = "elsewhere";
  EXPECT_EQ(require_same_facts(facts, places()), "");
  facts[2] = facts_of("1", "v2");
  EXPECT_THAT(
      require_same_facts(facts, places()),
      HasSubstr("build.instructions is v3 on ranks 0 (a, pid 10), 1 (a, pid 11), 3 (b, pid 13), v2 on rank 2 (b,"));
}

TEST(Meet, OfSeveralRoundingsAllAreTold) {
  std::vector<RunFacts> facts(2, facts_of("1"));
  for (RunFacts& one : facts) one.rounding.push_back({"build.type", "Release"});
  facts[1].rounding = {{"build.instructions", "v2"}, {"build.type", "Debug"}};
  EXPECT_EQ(require_same_facts(facts, {}),
            "the ranks do not round alike, so last digits depend on them: build.instructions is v3 on rank 0, v2 on "
            "rank 1; build.type is Release on rank 0, Debug on rank 1");
}

/// What each of three ranks ends with; `act` is what a rank does.
std::vector<std::string> ends_of(const std::function<void(Transport&)>& act) {
  std::vector<std::string> ends(3);
  run_local_ranks(3, [&](Transport& world) {
    std::string& end = ends[static_cast<std::size_t>(world.rank())];
    try {
      act(world);
      end = "met";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      end = error.what();
    }
  });
  return ends;
}

TEST(Meet, ReadyRanksMeet) {
  EXPECT_EQ(ends_of([](Transport& world) { meet(world, facts_of("1")); }), std::vector<std::string>(3, "met"));
}

TEST(Meet, ARankThatFailedBeforeEndsAllAlikeAndIsNamed) {
  const auto ends = ends_of([](Transport& world) {
    if (world.rank() != 0) meet_with_failure(world, Error(ErrorCode::kBadInput, "x.toml: cannot be read"));
    meet(world, facts_of("1"));
  });
  EXPECT_EQ(ends[0], "x.toml: cannot be read on ranks 1, 2");
  EXPECT_EQ(ends, std::vector<std::string>(3, ends[0]));
}

TEST(Meet, WhatAllRanksFailByNamesNone) {
  const auto ends = ends_of(
      [](Transport& world) { meet_with_failure(world, Error(ErrorCode::kBadInput, "x.toml: cannot be read")); });
  EXPECT_EQ(ends, std::vector<std::string>(3, "x.toml: cannot be read"));
}

}  // namespace
}  // namespace coe
