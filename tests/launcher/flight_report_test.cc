#include "launcher/flight_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "comm/flight_recorder.h"
#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000'000;

FlightRecord make_record(std::uint64_t number, std::int64_t posted, std::int64_t ended, FlightState state) {
  FlightRecord record;
  record.number = number;
  record.posted = posted;
  record.ended = ended;
  record.state = state;
  record.layer = 0;
  record.iteration = 1;
  record.step = 7;
  std::strcpy(record.phase.data(), number == 1 ? "dispatch" : "combine");
  return record;
}

FlightFile make_flight(int rank, std::int64_t alive, std::vector<FlightRecord> records) {
  FlightFile flight;
  flight.header.rank = rank;
  flight.header.ranks = 3;
  flight.header.alive = alive;
  flight.records = std::move(records);
  return flight;
}

/// Rank 1 stops after second 1; 0 waits for it, and 2 for both, until 0 gives up at second 3. Then rank 1 is woken to
/// be ended, and goes on for a while.
std::vector<FlightFile> stopped_rank() {
  std::vector<FlightFile> flights{
      make_flight(0, 3 * kSecond, {make_record(1, kSecond, 3 * kSecond, FlightState::kGivenUp)}),
      make_flight(1, 4 * kSecond,
                  {make_record(1, kSecond, 4 * kSecond, FlightState::kDone),
                   make_record(2, 4 * kSecond, 0, FlightState::kOpen)}),
      make_flight(2, 3 * kSecond, {make_record(2, kSecond, 0, FlightState::kOpen)})};
  flights[1].header.still_from = kSecond;
  flights[1].header.still_to = 4 * kSecond;
  return flights;
}

TEST(FlightReport, TheRankThatFellSilentBeforeTheOthersGaveUpWasBehind) {
  const auto flights = at_first_failure(stopped_rank());
  const auto silent = silent_first(flights);
  ASSERT_EQ(silent.size(), 1U);
  EXPECT_EQ(silent[0]->header.rank, 1);
  EXPECT_DOUBLE_EQ(silence_of(*silent[0], flights), 2.0);
  EXPECT_EQ(last_doing(*silent[0]), "in dispatch of layer 0, iteration 1 of step 7");
}

TEST(FlightReport, RanksThatFallSilentTogetherAreNotBlamed) {
  const std::vector flights{make_flight(0, kSecond, {}), make_flight(1, kSecond + 40'000'000, {})};
  EXPECT_TRUE(silent_first(flights).empty());
  EXPECT_TRUE(silent_first({}).empty());
}

TEST(FlightReport, SaysWhetherARankWasInAnExchangeOrAfterIt) {
  EXPECT_EQ(last_doing(make_flight(0, 0, {})), "before its first exchange");
  EXPECT_EQ(last_doing(make_flight(0, 0, {make_record(1, 1, 2, FlightState::kDone)})),
            "after dispatch of layer 0, iteration 1 of step 7");
}

TEST(FlightReport, ReadsAFolderOrTheOneInARun) {
  const Scratch scratch;
  const FlightRecorder one(scratch / "flight", 1, 2), zero(scratch / "flight", 0, 2);
  EXPECT_EQ(flight_files_of(scratch.path()).size(), 2U);
  EXPECT_EQ(flight_files_of(scratch / "flight"), flight_files_of(scratch.path()));
  EXPECT_EQ(read_flights(flight_files_of(scratch.path()))[0].header.rank, 0);
  EXPECT_TRUE(flight_files_of(scratch / "none").empty());
}

TEST(FlightReport, AFolderThatCannotBeReadIsSaid) {
  const Scratch scratch;
  std::filesystem::create_symlink(scratch / "flight", scratch / "flight");
  EXPECT_THROW(flight_files_of(scratch.path()), Error);
}

TEST(FlightReport, FilesOfSeveralJobsAreRefused) {
  const Scratch scratch;
  const FlightRecorder a(scratch / "a", 0, 2), b(scratch / "b", 0, 2), c(scratch / "c", 1, 3);
  const std::vector twice{flight_path(scratch / "a", 0), flight_path(scratch / "b", 0)};
  EXPECT_THAT(bad_input([&] { read_flights(twice); }), HasSubstr("are both of rank 0"));
  const std::vector other{flight_path(scratch / "a", 0), flight_path(scratch / "c", 1)};
  EXPECT_THAT(bad_input([&] { read_flights(other); }), HasSubstr("is of a job of 3 ranks"));
}

}  // namespace
}  // namespace coe
