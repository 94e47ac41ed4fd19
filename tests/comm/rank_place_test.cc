#include "comm/rank_place.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace coe {
namespace {

RankPlace place_on(std::string_view host, std::int64_t process = 1) {
  RankPlace place;
  std::ranges::copy(host, place.host.begin());
  std::ranges::copy(std::string_view("one boot"), place.boot.begin());
  place.process = process;
  return place;
}

/// This process, as a fork of it sees itself.
pid_t start_child(RankPlace& place) {
  const pid_t child = fork();
  if (child == 0) {
    while (true) pause();
  }
  place = own_place();
  place.process = child;
  place.started = 0;
  return child;
}

TEST(RankPlace, KnowsItselfAndItsNeighbours) {
  const RankPlace own = own_place();
  EXPECT_EQ(own.process, getpid());
  EXPECT_EQ(state_of(own, own), ProcessState::kAlive);
  EXPECT_TRUE(on_one_host(own, own));
  RankPlace other = own;
  other.host.front() ^= 1;
  EXPECT_TRUE(on_one_machine(own, other));
  EXPECT_FALSE(on_one_host(own, other));
  other.boot.front() ^= 1;
  EXPECT_FALSE(on_one_machine(own, other));
}

TEST(RankPlace, WhereNoBootIsKnownTheHostsNameDecides) {
  RankPlace a = place_on("a"), b = place_on("b");
  a.boot = b.boot = {};
  EXPECT_TRUE(on_one_machine(a, a));
  EXPECT_FALSE(on_one_machine(a, b));
}

TEST(RankPlace, SeesAProcessRunStopAndDie) {
  RankPlace place;
  const RankPlace own = own_place();
  const pid_t child = start_child(place);
  EXPECT_EQ(state_of(place, own), ProcessState::kAlive);
  kill(child, SIGSTOP);
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  EXPECT_EQ(state_of(place, own), ProcessState::kStopped);
  kill(child, SIGKILL);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  EXPECT_EQ(state_of(place, own), ProcessState::kDead) << "nobody has asked about it yet";
  waitpid(child, nullptr, 0);
  EXPECT_EQ(state_of(place, own), ProcessState::kDead);
}

TEST(RankPlace, ANumberThatWasGivenAgainIsAnotherProcess) {
  RankPlace earlier = own_place();
  earlier.started -= 1;
  EXPECT_EQ(state_of(earlier, own_place()), ProcessState::kDead);
}

TEST(RankPlace, OfAnotherNamespaceOrMachineNothingIsKnown) {
  const RankPlace own = own_place();
  RankPlace place = own;
  place.process = 4000000;  // more than a system has
  ASSERT_EQ(state_of(place, own), ProcessState::kDead);
  place.processes += 1;
  EXPECT_EQ(state_of(place, own), ProcessState::kUnknown);
  place.processes = 0;
  EXPECT_EQ(state_of(place, own), ProcessState::kUnknown);
  place = own;
  place.boot.front() ^= 1;
  EXPECT_EQ(state_of(place, own), ProcessState::kUnknown);
}

TEST(RankPlace, NamesRanksWithHostAndProcess) {
  std::vector<RankPlace> places;
  for (int i = 0; i < 12; ++i) places.push_back(place_on("n" + std::to_string(i / 6), 100 + i));
  EXPECT_EQ(name_of_rank(7, places), "rank 7 (n1, pid 107)");
  EXPECT_EQ(name_of_rank(7, std::vector<RankPlace>{}), "rank 7");
  EXPECT_EQ(names_of_ranks(std::vector{3}, places), "rank 3 (n0, pid 103)");
  EXPECT_EQ(names_of_ranks(std::vector{1, 8}, places), "ranks 1 (n0, pid 101), 8 (n1, pid 108)");
  EXPECT_EQ(names_of_ranks(std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {}),
            "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 3 more");
}

TEST(RankPlace, AHostIsNamedWhereAllThatLackAreOfIt) {
  const std::vector<RankPlace> places{place_on("a"), place_on("a"), place_on("b"), place_on("b")};
  EXPECT_EQ(state_of_ranks(std::vector{2, 3}, 0, places),
            "no rank of host b answers: it, or the link to it, may be lost");
  EXPECT_EQ(state_of_ranks(std::vector{2}, 0, places),
            "a rank of host b hangs, or the host, or the link to it, is lost")
      << "rank 3 has sent what it had to";
  EXPECT_EQ(state_of_ranks(std::vector{1, 2, 3}, 0, places), "") << "the own host hangs, too";
  EXPECT_EQ(state_of_ranks(std::vector{1}, 0, places), "") << "the own host is there";
  EXPECT_EQ(state_of_ranks(std::vector{1}, 0, {}), "");
}

}  // namespace
}  // namespace coe
