#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/transport.h"

namespace coe {

/// How many exchanges a rank's flight file holds: the newest.
inline constexpr std::size_t kFlightRecords = 1024;

/// So long without a sign of life is worth keeping, in nanoseconds.
inline constexpr std::int64_t kStoodStill = 250'000'000;

enum class FlightState : std::uint32_t { kOpen = 1, kDone = 2, kGivenUp = 3 };

/// One exchange, as it lies in a flight file. Times are nanoseconds of the steady clock.
struct FlightRecord {
  static constexpr std::size_t kNamed = 7;

  std::uint64_t number = 0;  ///< Counts from 1 and lies in slot number % kFlightRecords; 0: never or half written.
  std::int64_t step = 0;     ///< 0 before the first.
  std::int64_t posted = 0, ended = 0;
  std::uint64_t bytes_out = 0, bytes_in = 0;  ///< To and from all peers.
  std::int32_t layer = -1, iteration = -1, chunk = -1;
  FlightState state = FlightState::kOpen;
  std::uint32_t missing = 0;                 ///< Peers waited for when it was last looked at, of which
  std::array<std::int32_t, kNamed> named{};  ///< these are the first.
  std::array<char, 32> phase{};              ///< Ends with a zero byte.
  /// As Phase::text() says it, with the step; what is no printable ASCII shows as '?'.
  std::string text() const;
};

/// What a flight file begins with.
struct FlightHeader {
  static constexpr std::array<char, 8> kMagic{'C', 'O', 'E', 'F', 'L', 'T', '1', '\n'};

  std::array<char, 8> magic = kMagic;
  std::int32_t rank = 0, ranks = 1;
  std::int64_t process = 0;
  std::int64_t wall_start = 0, steady_start = 0;  ///< One moment on both clocks; wall: nanoseconds since 1970, UTC.
  std::int64_t alive = 0;                         ///< The rank's newest sign of life, on its steady clock.
  std::int64_t still_from = 0, still_to = 0;      ///< The newest stretch of kStoodStill or more between two signs.
  std::array<char, 64> host{};                    ///< Ends with a zero byte.
};

inline constexpr std::size_t kFlightFileBytes = sizeof(FlightHeader) + kFlightRecords * sizeof(FlightRecord);
static_assert(sizeof(FlightRecord) == 128 && sizeof(FlightHeader) == 128);

/// A flight file as it was when read, which may be while its rank goes on.
struct FlightFile {
  std::filesystem::path path;
  FlightHeader header;
  std::vector<FlightRecord> records;  ///< Ascending numbers; what was half written is left out.

  /// A time of this file in nanoseconds since 1970, which ranks of several machines share.
  std::int64_t wall(std::int64_t steady) const;
  std::int64_t alive() const { return wall(header.alive); }
  /// The newest record, nullptr where there is none.
  const FlightRecord* newest() const { return records.empty() ? nullptr : &records.back(); }
};

/// The name of a rank's file in a folder of them.
std::filesystem::path flight_path(const std::filesystem::path& folder, int rank);

/// Whether a file begins as a flight file does; false where it cannot be read.
bool is_flight_file(const std::filesystem::path& path);

/// Never trusts the file: throws kBadInput, naming it, where it is no whole flight file or holds what cannot be.
FlightHeader read_flight_header(const std::filesystem::path& path);
FlightFile read_flight_file(const std::filesystem::path& path);

}  // namespace coe
