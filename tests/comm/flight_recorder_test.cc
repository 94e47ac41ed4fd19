#include "comm/flight_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "comm/rank_place.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::ElementsAre;

constexpr Phase kDispatch{.name = "dispatch", .layer = 2, .iteration = 1};

FlightFile read_rank(const Scratch& scratch, int rank) { return read_flight_file(flight_path(scratch.path(), rank)); }

TEST(FlightRecorder, KeepsWhatWasExchangedWithWhomAndHow) {
  const Scratch scratch;
  FlightRecorder recorder(scratch.path(), 1, 3);
  recorder.end(recorder.begin({.name = "loss reduction"}, 8, 16), FlightState::kDone);
  recorder.set_step(7);
  const std::uint64_t number = recorder.begin(kDispatch, 100, 200);
  recorder.miss(number, std::array{0, 2});
  const FlightFile flight = read_rank(scratch, 1);
  EXPECT_EQ(flight.header.rank, 1);
  EXPECT_EQ(flight.header.ranks, 3);
  EXPECT_EQ(flight.header.process, getpid());
  ASSERT_EQ(flight.records.size(), 2U);
  const FlightRecord &done = flight.records[0], &open = flight.records[1];
  EXPECT_EQ(done.text(), "loss reduction");
  EXPECT_EQ(done.state, FlightState::kDone);
  EXPECT_GE(done.ended, done.posted);
  EXPECT_EQ(open.text(), "dispatch of layer 2, iteration 1 of step 7");
  EXPECT_EQ(open.state, FlightState::kOpen);
  EXPECT_EQ(open.bytes_out, 100U);
  EXPECT_EQ(open.bytes_in, 200U);
  EXPECT_EQ(open.missing, 2U);
  EXPECT_EQ(open.named[1], 2);
  EXPECT_EQ(flight.header.alive, open.posted);
}

TEST(FlightRecorder, KeepsTheNewest1024InTheirOrder) {
  const Scratch scratch;
  FlightRecorder recorder(scratch.path(), 0, 1);
  for (int i = 0; i < 2500; ++i) recorder.end(recorder.begin(kDispatch, 0, 0), FlightState::kDone);
  const FlightFile flight = read_rank(scratch, 0);
  ASSERT_EQ(flight.records.size(), 1024U);
  for (std::size_t i = 0; i < 1024; ++i) EXPECT_EQ(flight.records[i].number, 1477 + i);
}

TEST(FlightRecorder, AnExchangeThatEndsAfter1024OthersDisturbsNone) {
  const Scratch scratch;
  FlightRecorder recorder(scratch.path(), 0, 1);
  const std::uint64_t old = recorder.begin(kDispatch, 0, 0);
  for (int i = 0; i < 1024; ++i) recorder.begin(kDispatch, 0, 0);
  recorder.end(old, FlightState::kGivenUp);
  for (const FlightRecord& record : read_rank(scratch, 0).records) EXPECT_EQ(record.state, FlightState::kOpen);
}

TEST(FlightRecorder, ALongPhaseNameAndManyMissingPeersAreCutShort) {
  const Scratch scratch;
  FlightRecorder recorder(scratch.path(), 0, 1);
  const std::string name(100, 'x');
  const std::vector<int> peers{1, 2, 3, 4, 5, 6, 7, 8, 9};
  recorder.miss(recorder.begin({.name = name}, 0, 0), peers);
  const FlightRecord record = read_rank(scratch, 0).records.at(0);
  EXPECT_EQ(record.text(), std::string(31, 'x'));
  EXPECT_EQ(record.missing, 9U);
  EXPECT_THAT(record.named, ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST(FlightRecorder, WhatAKilledProcessDidStays) {
  const Scratch scratch;
  const pid_t child = fork();
  if (child == 0) {
    FlightRecorder recorder(scratch.path(), 2, 3);
    recorder.begin(kDispatch, 1, 2);
    raise(SIGKILL);
  }
  ASSERT_GT(child, 0);
  waitpid(child, nullptr, 0);
  const FlightFile flight = read_rank(scratch, 2);
  ASSERT_EQ(flight.records.size(), 1U);
  EXPECT_EQ(flight.records[0].text(), "dispatch of layer 2, iteration 1");
}

TEST(FlightRecorder, KeepsTheNewestStretchInWhichARankStoodStill) {
  const Scratch scratch;
  FlightRecorder recorder(scratch.path(), 0, 1);
  const auto start = std::chrono::steady_clock::now();
  using namespace std::chrono_literals;
  for (const auto after : {1000ms, 1100ms, 1500ms, 1600ms}) recorder.alive(start + after);
  const FlightHeader header = read_rank(scratch, 0).header;
  EXPECT_EQ(header.still_to - header.still_from, 400'000'000);
  EXPECT_EQ(header.alive - header.still_to, 100'000'000);
}

TEST(FlightRecorder, AnOrderlyEndLeavesNothing) {
  const Scratch scratch;
  FlightRecorder one(scratch / "flight", 0, 2), two(scratch / "flight", 1, 2);
  one.remove();
  EXPECT_TRUE(std::filesystem::exists(flight_path(scratch / "flight", 1)));
  two.remove();
  EXPECT_FALSE(std::filesystem::exists(scratch / "flight"));
}

TEST(FlightRecorder, ARemovedFileIsNotMappedAnyMore) {
  const Scratch scratch;
  FlightRecorder recorder(scratch / "flight", 0, 1);
  const std::string path = flight_path(scratch / "flight", 0).string();
  const auto mapped = [&] { return read_text("/proc/self/maps").find(path) != std::string::npos; };
  EXPECT_TRUE(mapped());
  recorder.remove();
  EXPECT_FALSE(mapped());
  recorder.end(recorder.begin(kDispatch, 1, 1), FlightState::kDone);  // kept nowhere
}

TEST(FlightRecorder, ANewJobClearsAnEarlierOnesFilesAndNoOthers) {
  const Scratch scratch;
  { const FlightRecorder earlier(scratch.path(), 5, 6); }
  scratch.write("notes.txt", "mine");
  scratch.write("failure_0.txt", "rank 5 ...\n");
  FlightRecorder::clear(scratch.path());
  EXPECT_FALSE(std::filesystem::exists(flight_path(scratch.path(), 5)));
  EXPECT_FALSE(std::filesystem::exists(failure_path(scratch.path(), 0)));
  EXPECT_TRUE(std::filesystem::exists(scratch / "notes.txt"));
}

TEST(FlightRecorder, TheFirstFailureIsKeptWithItsHost) {
  const Scratch scratch;
  const FlightRecorder one(scratch.path(), 0, 2), two(scratch.path(), 1, 2);
  const std::string host = own_place().host.data();
  EXPECT_TRUE(two.claim_failure("disk full").own);
  const FailureClaim second = one.claim_failure("rank 1 failed");
  EXPECT_FALSE(second.own);
  EXPECT_EQ(second.host, host);
  EXPECT_EQ(read_text(failure_path(scratch.path(), 0)), "disk full\n" + host + "\n");
}

TEST(FlightRecorder, EachFailureBelongsToOneRank) {
  const Scratch scratch;
  const FlightRecorder one(scratch.path(), 0, 2), two(scratch.path(), 1, 2);
  scratch.write("failure_0.txt", "unheard\nfar\n");
  EXPECT_EQ(one.claim_failure("x").host, "far");
  EXPECT_TRUE(one.claim_failure("x", 1).own);
  EXPECT_FALSE(two.claim_failure("y", 1).own);
  scratch.write("failure_2.txt", "");
  EXPECT_EQ(two.claim_failure("y", 2).host, "");
}

TEST(FlightRecorder, AFolderThatCannotBeMadeIsSaid) {
  try {
    const FlightRecorder recorder("/proc/flight", 0, 1);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("/proc/flight"));
  }
}

}  // namespace
}  // namespace coe
