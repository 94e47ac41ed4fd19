#include "comm/flight_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "comm/flight_recorder.h"
#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// The bytes of a file of rank 1 of 3 with `exchanges` exchanges.
std::string flight_bytes(const Scratch& scratch, int exchanges) {
  FlightRecorder recorder(scratch.path(), 1, 3);
  for (int i = 0; i < exchanges; ++i)
    recorder.end(recorder.begin({.name = "dispatch", .layer = 2, .iteration = i}, 10, 20), FlightState::kDone);
  return read_text(flight_path(scratch.path(), 1));
}

TEST(FlightFile, GarbageAndOtherFilesAreNamed) {
  const Scratch scratch;
  const auto empty = scratch.write("empty", ""), other = scratch.write("other", std::string(200, 'x'));
  EXPECT_THAT(bad_input([&] { read_flight_file(empty); }), HasSubstr("empty ends after 0 bytes of 128"));
  EXPECT_THAT(bad_input([&] { read_flight_file(other); }), HasSubstr("other does not begin as a flight file does"));
  EXPECT_THAT(bad_input([&] { read_flight_file(scratch / "none"); }), HasSubstr("none: No such file"));
  EXPECT_THAT(bad_input([&] { read_flight_file(scratch.path()); }), HasSubstr(scratch.path().string()));
  EXPECT_FALSE(is_flight_file(empty) || is_flight_file(other) || is_flight_file(scratch / "none"));
}

TEST(FlightFile, ACutOrGrownOneIsRefused) {
  const Scratch scratch;
  const std::string whole = flight_bytes(scratch, 5);
  for (const std::size_t size : {std::size_t{8}, std::size_t{127}, std::size_t{128}, whole.size() - 1}) {
    const auto cut = scratch.write("cut", whole.substr(0, size));
    EXPECT_THAT(bad_input([&] { read_flight_file(cut); }), HasSubstr("cut"));
  }
  const auto grown = scratch.write("grown", whole + "x");
  EXPECT_THAT(bad_input([&] { read_flight_file(grown); }), HasSubstr("has 131201 bytes, must have 131200"));
}

TEST(FlightFile, ARecordInAnotherSlotIsDamage) {
  const Scratch scratch;
  std::string bytes = flight_bytes(scratch, 5);
  bytes[128 + 3 * 128] = 4;  // the number of record 3, little-endian
  const auto file = scratch.write("moved", bytes);
  EXPECT_THAT(bad_input([&] { read_flight_file(file); }), HasSubstr("moved: record 3 is damaged"));
}

TEST(FlightFile, AnyFlippedByteIsReadOrRefusedInWords) {
  const Scratch scratch;
  const std::string whole = flight_bytes(scratch, 2000);
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    for (int flips = 0; flips < 20; ++flips)
      bytes[random() % (i % 2 == 0 ? 128 : bytes.size())] ^= static_cast<char>(random());
    try {
      for (const FlightRecord& record : read_flight_file(scratch.write("flipped", bytes)).records) record.text();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      ++refused;
    }
  }
  EXPECT_GT(refused, 400);
}

TEST(FlightFile, WhatAPhaseNameHidesFromATerminalIsShown) {
  FlightRecord record;
  std::memcpy(record.phase.data(), "a\x1b[2Jb", 6);
  EXPECT_EQ(record.text(), "a?[2Jb");
}

TEST(FlightFile, TimesOfSeveralMachinesMeetOnTheWallClock) {
  FlightFile flight;
  flight.header.wall_start = 1'000'000;
  flight.header.steady_start = 70;
  flight.header.alive = 75;
  EXPECT_EQ(flight.wall(71), 1'000'001);
  EXPECT_EQ(flight.alive(), 1'000'005);
}

}  // namespace
}  // namespace coe
