#include "comm/make_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "comm/collectives.h"

namespace coe {
namespace {

constexpr Phase kPhase{.name = "test"};

TEST(MakeTransport, EveryBackendIsThereOrSaysWhyNot) {
  for (const Backend& backend : backends()) {
    if (backend.missing.empty()) continue;
    try {
      make_transport(backend.name);
      ADD_FAILURE() << backend.name << " is said to be missing";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr(backend.missing));
    }
  }
}

TEST(MakeTransport, LocalIsOneRank) {
  const std::unique_ptr<Transport> transport = make_transport("local");
  EXPECT_EQ(transport->size(), 1);
  EXPECT_EQ(transport->rank(), 0);
}

TEST(MakeTransport, UnknownNameIsBadInput) {
  try {
    make_transport("pigeon");
    ADD_FAILURE() << "no such transport";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_STREQ(error.what(), "transport: 'pigeon' is unknown, must be local or mpi");
  }
}

TEST(RunLocalRanks, EveryRankRunsOnce) {
  std::atomic<int> ranks = 0, sum = 0;
  run_local_ranks(5, [&](Transport& transport) {
    EXPECT_EQ(transport.size(), 5);
    ++ranks;
    sum += transport.rank();
  });
  EXPECT_EQ(ranks, 5);
  EXPECT_EQ(sum, 0 + 1 + 2 + 3 + 4);
}

TEST(RunLocalRanks, FirstFailureIsRethrownAndEndsTheWaitsOfAll) {
  std::atomic<int> told = 0;
  const auto body = [&](Transport& transport) {
    if (transport.rank() == 3) fail(ErrorCode::kNonFinite, "loss is nan");
    try {
      barrier({&transport}, kPhase);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kPeer);
      EXPECT_STREQ(error.what(), "rank 3 failed: loss is nan");
      ++told;
      throw;
    }
  };
  try {
    run_local_ranks(4, body);
    ADD_FAILURE() << "rank 3 failed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
    EXPECT_STREQ(error.what(), "loss is nan");
  }
  EXPECT_EQ(told, 3);
}

TEST(RunLocalRanks, FailureOfAPartEndsTheWaitsOfOtherParts) {
  const auto body = [](Transport& transport) {
    const std::unique_ptr<Transport> part = transport.split(transport.rank() % 2, 0);
    if (transport.rank() == 3) fail(ErrorCode::kInternal, "broken");
    barrier({&transport}, kPhase);
    barrier({part.get()}, kPhase);
  };
  EXPECT_THROW(run_local_ranks(4, body), Error);
}

TEST(RunLocalRanks, OtherExceptionsAreRethrownAsTheyAre) {
  const auto body = [](Transport& transport) {
    if (transport.rank() == 1) throw std::out_of_range("row 9 of 8");
    barrier({&transport}, kPhase);
  };
  EXPECT_THROW(run_local_ranks(2, body), std::out_of_range);
}

TEST(RunLocalRanks, NoRanksAreRefused) {
  const auto nothing = [](Transport&) {};
  EXPECT_THROW(run_local_ranks(0, nothing), Error);
}

}  // namespace
}  // namespace coe
