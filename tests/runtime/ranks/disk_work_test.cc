#include "runtime/ranks/disk_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "comm/make_transport.h"
#include "kernels/memory/error.h"
#include "tests/ranks.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

constexpr Phase kPhase{.name = "a test"};

/// Joins what the ranks returned.
std::string joined(const std::vector<std::string>& results, WorkSigns& /*signs*/) {
  std::string all;
  for (const std::string& result : results) all += result;
  return all;
}

TEST(DiskWorkOnRanks, EveryRankGetsWhatRankZeroMakesOfWhatEachReturned) {
  for_each_ranks([](Transport& transport) {
    for (int round = 0; round < 3; ++round) {
      const auto work = [&](WorkSigns& signs) {
        signs.did(10);
        return std::string(static_cast<std::size_t>(100 * transport.rank()), static_cast<char>('a' + transport.rank()));
      };
      std::string expected;
      for (int rank = 0; rank < transport.size(); ++rank) {
        expected += std::string(static_cast<std::size_t>(100 * rank), static_cast<char>('a' + rank));
      }
      EXPECT_EQ(work_on_disk({&transport}, {}, kPhase, work, joined), expected);
    }
  });
}

TEST(DiskWorkOnRanks, EveryRankThrowsTheErrorOfTheLowestRankThatFailed) {
  for_each_ranks([](Transport& transport) {
    const int first = transport.size() / 2;
    const auto work = [&](WorkSigns&) -> std::string {
      if (transport.rank() >= first) fail(ErrorCode::kSystem, "rank ", transport.rank(), " failed");
      return "fine";
    };
    const auto never = [](const std::vector<std::string>&, WorkSigns&) -> std::string {
      ADD_FAILURE() << "there is nothing to conclude";
      return {};
    };
    try {
      work_on_disk({&transport}, {}, kPhase, work, never);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSystem);
      EXPECT_EQ(std::string(error.what()), "rank " + std::to_string(first) + " failed");
    }
  });
}

TEST(DiskWorkOnRanks, WhatTheConclusionThrowsIsThrownEverywhere) {
  for_each_ranks([](Transport& transport) {
    const auto conclude = [](const std::vector<std::string>&, WorkSigns&) -> std::string {
      fail(ErrorCode::kBadInput, "no manifest");
    };
    try {
      work_on_disk(
          {&transport}, {}, kPhase, [](WorkSigns&) { return "x"; }, conclude);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "no manifest");
    }
  });
}

/// Works for `whole` in stretches, with a sign after each.
void work_for(std::chrono::milliseconds whole, std::chrono::milliseconds stretch, WorkSigns& signs) {
  for (auto done = 0ms; done < whole; done += stretch) {
    std::this_thread::sleep_for(stretch);
    signs.did(1);
  }
}

// A group whose deadline is 200 ms, and work that takes longer than any patience but says that it goes on.
TEST(DiskWorkOnRanks, WorkMayTakeLongerThanAnyDeadlineWhileItGivesSigns) {
  for (const int slow : {0, 2}) {
    on_ranks(4, [&](Transport& transport) {
      const Group group{&transport, 200ms};
      const auto work = [&](WorkSigns& signs) {
        if (transport.rank() == slow) work_for(1500ms, 50ms, signs);
        return std::string("x");
      };
      EXPECT_EQ(work_on_disk(group, {700ms, {}}, kPhase, work, joined), "xxxx");
    });
  }
}

TEST(DiskWorkOnRanks, TheConclusionMayTakeLongToo) {
  on_ranks(3, [](Transport& transport) {
    const auto conclude = [](const std::vector<std::string>&, WorkSigns& signs) {
      work_for(1500ms, 50ms, signs);
      return std::string("done");
    };
    EXPECT_EQ(work_on_disk(
                  {&transport, 200ms}, {700ms, {}}, kPhase, [](WorkSigns&) { return "x"; }, conclude),
              "done");
  });
}

TEST(DiskWorkOnRanks, OneCallThatTakesLongerThanTheDeadlineNeedsNoSign) {
  on_ranks(3, [](Transport& transport) {
    const auto work = [&](WorkSigns&) {
      if (transport.rank() == 1) std::this_thread::sleep_for(700ms);
      return std::string("x");
    };
    EXPECT_EQ(work_on_disk({&transport, 200ms}, {10s, {}}, kPhase, work, joined), "xxx");
  });
}

TEST(DiskWork, ARankThatGivesNoSignIsNamedAfterThePatience) {
  try {
    run_local_ranks(3, [](Transport& transport) {
      const auto work = [&](WorkSigns& signs) {
        if (transport.rank() == 2) std::this_thread::sleep_for(1500ms);
        if (transport.rank() == 1) work_for(1000ms, 20ms, signs);
        return std::string("x");
      };
      work_on_disk({&transport, 100ms}, {300ms, {}}, kPhase, work, joined);
    });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeer);
    EXPECT_STREQ(error.what(), "rank 0 waits for rank 2 in a test: no sign of work on a disk after 0.3 s");
  }
}

// What each rank returned goes to rank 0, and one verdict back: no message between other ranks but the broadcast's.
TEST(DiskWork, ResultsGoToRankZeroAlone) {
  run_local_ranks(8, [](Transport& transport) {
    const std::uint64_t before = transport.messages_sent();
    work_on_disk(
        {&transport}, {}, kPhase, [](WorkSigns&) { return std::string(1 << 16, 'x'); },
        [](const std::vector<std::string>&, WorkSigns&) { return std::string("ok"); });
    const std::uint64_t sent = transport.messages_sent() - before;
    if (transport.rank() == 0) EXPECT_LE(sent, 7U + 3U) << "a sign to each, and the verdict down a tree";
    if (transport.rank() != 0) EXPECT_LE(sent, 2U + 2U) << "a sign and the result, and the verdict down a tree";
  });
}

}  // namespace
}  // namespace coe
