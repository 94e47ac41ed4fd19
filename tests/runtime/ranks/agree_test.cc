#include "runtime/ranks/agree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr Phase kPhase{.name = "a test"};

TEST(AgreeOnRanks, EveryRankGetsWhatEachReturned) {
  for_each_ranks([](Transport& transport) {
    const auto results = agree({&transport}, kPhase, [&] { return std::string(transport.rank(), 'x'); });
    ASSERT_EQ(results.size(), static_cast<std::size_t>(transport.size()));
    for (std::size_t rank = 0; rank < results.size(); ++rank) EXPECT_EQ(results[rank], std::string(rank, 'x'));
  });
}

TEST(AgreeOnRanks, EveryRankThrowsTheErrorOfTheLowestRankThatFailed) {
  for_each_ranks([](Transport& transport) {
    const int first = transport.size() / 2;
    const auto work = [&]() -> std::string {
      if (transport.rank() >= first) fail(ErrorCode::kNonFinite, "rank ", transport.rank(), " failed");
      return "fine";
    };
    try {
      agree({&transport}, kPhase, work);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
      EXPECT_EQ(std::string(error.what()), "rank " + std::to_string(first) + " failed");
    }
  });
}

TEST(AgreeOnRanks, OtherExceptionsAreTheSystems) {
  on_ranks(2, [](Transport& transport) {
    try {
      agree({&transport}, kPhase, []() -> std::string { throw std::length_error("too long"); });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kSystem);
      EXPECT_STREQ(error.what(), "too long");
    }
  });
}

}  // namespace
}  // namespace coe
