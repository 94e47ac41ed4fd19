#include "comm/group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "comm/local_transport.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

constexpr Phase kCombine{.name = "combine", .layer = 1, .iteration = 0};

/// Rank 0 of two, of which the other one never answers.
class RecordedGroup : public ::testing::Test {
 protected:
  FlightRecord newest() const { return read_flight_file(flight_path(scratch_.path(), 0)).records.back(); }

  Scratch scratch_;
  LocalHub hub_{2};
  std::unique_ptr<Transport> zero_ = hub_.connect(0), one_ = hub_.connect(1);
  FlightRecorder recorder_{scratch_.path(), 0, 2};
  Group group_{zero_.get(), 300ms, &recorder_};
  std::array<std::byte, 8> memory_{};
  Piece piece_{memory_.data(), 8};
  Message message_{1, {&piece_, 1}};
};

TEST_F(RecordedGroup, AnExchangeIsOpenFromItsPostToTheEndOfItsWait) {
  const Ticket ticket = post(group_, {&message_, 1}, {}, kCombine);
  EXPECT_EQ(newest().state, FlightState::kOpen);
  EXPECT_EQ(newest().bytes_out, 8U);
  EXPECT_EQ(newest().bytes_in, 0U);
  std::array<std::byte, 8> landing{};
  const Piece place{landing.data(), 8};
  const Message receive{0, {&place, 1}};
  wait({one_.get()}, one_->post({}, {&receive, 1}), kCombine);
  wait(group_, ticket, kCombine);
  EXPECT_EQ(newest().state, FlightState::kDone);
  EXPECT_EQ(newest().text(), "combine of layer 1, iteration 0");
}

TEST_F(RecordedGroup, AWaitThatRunsOutLeavesWhomItMissed) {
  EXPECT_THROW(wait(group_, post(group_, {}, {&message_, 1}, kCombine), kCombine), Error);
  EXPECT_EQ(newest().state, FlightState::kGivenUp);
  EXPECT_EQ(newest().missing, 1U);
  EXPECT_EQ(newest().named[0], 1);
  const FlightHeader header = read_flight_header(flight_path(scratch_.path(), 0));
  EXPECT_EQ(header.still_to, 0) << "a rank that waits gives signs of life";
}

TEST_F(RecordedGroup, NobodyWaitsForAPeerWhoseProcessHasDied) {
  const pid_t child = fork();
  if (child == 0) {
    const FlightRecorder recorder(scratch_.path(), 1, 2);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  group_.deadline = 60s;
  try {
    wait(group_, post(group_, {}, {&message_, 1}, kCombine), kCombine);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeer);
    EXPECT_STREQ(error.what(),
                 "rank 0 waits for rank 1 in combine of layer 1, iteration 0: the process of rank 1 has died");
  }
}

TEST_F(RecordedGroup, NobodyWaitsInAJobThatHasFailed) {
  ASSERT_TRUE(recorder_.claim_failure("rank 5 found the disk full"));
  group_.deadline = 60s;
  try {
    wait(group_, post(group_, {}, {&message_, 1}, kCombine), kCombine);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 0 waits for rank 1 in combine of layer 1, iteration 0: another rank has failed");
  }
}

}  // namespace
}  // namespace coe
