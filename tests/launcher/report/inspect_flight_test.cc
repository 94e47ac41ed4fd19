#include "launcher/report/inspect_flight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "comm/flight_recorder.h"
#include "tests/launcher/program.h"

namespace coe {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

/// Rank 1 falls silent in its first exchange; rank 0 goes on, and then waits for it.
void leave_flights(const Scratch& scratch) {
  const Phase dispatch{.name = "dispatch", .layer = 3, .iteration = 1}, combine{.name = "combine", .layer = 3};
  FlightRecorder zero(scratch / "flight", 0, 3), one(scratch / "flight", 1, 3);
  zero.set_step(9);
  one.set_step(9);
  one.begin(dispatch, 5, 6);
  zero.end(zero.begin(dispatch, 1, 2), FlightState::kDone);
  zero.miss(zero.begin(combine, 3, 4), std::array{1});
  std::this_thread::sleep_for(100ms);
  zero.alive(std::chrono::steady_clock::now());
}

TEST(InspectFlight, SaysWhoWasBehindAndWhatEachRankDid) {
  const Scratch scratch;
  leave_flights(scratch);
  const Outcome outcome = run_program(scratch, {"inspect", "flight"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("rank 1 was behind: silent 0.1"));
  EXPECT_THAT(outcome.out, HasSubstr("1 of the job's 3 ranks left no file here"));
  EXPECT_THAT(outcome.out, HasSubstr(" for rank 1 in combine of layer 3 of step 9\n"));
  EXPECT_THAT(outcome.out, HasSubstr("in dispatch of layer 3, iteration 1 of step 9\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("exchange 1 ")));
}

TEST(InspectFlight, PrintsTheNewestExchangesInTheirOrder) {
  const Scratch scratch;
  leave_flights(scratch);
  const Outcome outcome =
      run_program(scratch, {"inspect", "flight/rank_0.flight", "flight/rank_1.flight", "--records", "2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const auto done =
      outcome.out.find("rank 0  exchange 1  dispatch of layer 3, iteration 1 of step 9  1 bytes out, 2 in");
  const auto open =
      outcome.out.find("rank 0  exchange 2  combine of layer 3 of step 9  3 bytes out, 4 in  open, waits for rank 1");
  EXPECT_NE(done, std::string::npos) << outcome.out;
  EXPECT_NE(open, std::string::npos) << outcome.out;
  EXPECT_LT(done, open);
  EXPECT_THAT(outcome.out, Not(HasSubstr("rank 1  exchange 1")));
}

TEST(InspectFlight, RepeatsTheFirstFailure) {
  const Scratch scratch;
  leave_flights(scratch);
  scratch.write("flight/failure_0.txt", "disk \x1b[2Jfull\nnode1\n");
  scratch.write("flight/failure_1.txt", "node1 is lost\nnode2\n");
  EXPECT_THAT(run_program(scratch, {"inspect", "."}).out,
              HasSubstr("first failure: disk ?[2Jfull\nnext failure: node1 is lost\n"));
}

TEST(InspectFlight, ADamagedFileIsOneLineAndTwo) {
  const Scratch scratch;
  leave_flights(scratch);
  scratch.write("flight/rank_2.flight", read_text(scratch / "flight/rank_1.flight").substr(0, 5000));
  for (const std::string name : {"flight", "flight/rank_2.flight"}) {
    const Outcome outcome = run_program(scratch, {"inspect", name});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("rank_2.flight has 5000 bytes, must have 131200"));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(InspectFlight, ANegativeNumberOfRecordsIsRefused) {
  const Scratch scratch;
  leave_flights(scratch);
  const Outcome outcome = run_program(scratch, {"inspect", "flight", "--records", "-1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("records is -1, must be at least 0"));
}

}  // namespace
}  // namespace coe
