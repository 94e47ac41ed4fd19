#include "comm/stream_meeting.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "comm/local_transport.h"
#include "comm/make_transport.h"

namespace coe {
namespace {

// On the CPU work is done when it is given, so a meeting orders the hosts' work.
TEST(StreamMeeting, NobodyGoesOnBeforeAllHaveArrived) {
  for (const int ranks : {1, 2, 4, 7}) {
    std::vector<int> written(static_cast<std::size_t>(ranks));
    run_local_ranks(ranks, [&](Transport& world) {
      const Stream stream(kCpu);
      StreamMeeting meeting({&world}, kCpu);
      for (int round = 1; round <= 50; ++round) {
        written[static_cast<std::size_t>(world.rank())] = round;
        meeting.arrive(stream);
        meeting.follow(stream, {"writing"});
        for (const int number : written) EXPECT_EQ(number, round);
        meeting.arrive(stream);
        meeting.follow(stream, {"reading"});
      }
    });
  }
}

TEST(StreamMeeting, OneThreadDrivesAllRanksAndWaitsForNone) {
  LocalHub hub(4);
  std::vector<std::unique_ptr<Transport>> ranks;
  std::vector<std::unique_ptr<StreamMeeting>> meetings;
  const Stream stream(kCpu);
  for (int rank = 0; rank < 4; ++rank) {
    ranks.push_back(hub.connect(rank));
    meetings.push_back(std::make_unique<StreamMeeting>(
        Group{.transport = ranks.back().get(), .deadline = std::chrono::milliseconds(1)}, kCpu));
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& meeting : meetings) meeting->arrive(stream);
    for (const auto& meeting : meetings) EXPECT_NO_THROW(meeting->follow(stream, {"together"}));
  }
}

TEST(StreamMeeting, WhoDoesNotArriveIsMissedAtTheDeadline) {
  LocalHub hub(2);
  const auto first = hub.connect(0), second = hub.connect(1);
  const Stream stream(kCpu);
  StreamMeeting meeting({.transport = first.get(), .deadline = std::chrono::milliseconds(20)}, kCpu);
  const StreamMeeting absent({.transport = second.get()}, kCpu);
  meeting.arrive(stream);
  EXPECT_THROW(meeting.follow(stream, {"waiting"}), Error);
}

}  // namespace
}  // namespace coe
