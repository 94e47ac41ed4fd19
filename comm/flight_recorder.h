#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "comm/flight_file.h"
#include "comm/transport.h"

namespace coe {

/// The rank that says a failure.
struct FailureClaim {
  bool own = false;
  std::string host;  ///< Empty where it has not been written yet.
};

/// Keeps the newest exchanges of one rank in a mapped file, so that a post-mortem knows them however the rank ended. A
/// record is a few stores: no system call, no allocation. Belongs to one rank and one thread.
class FlightRecorder {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Makes the folder and this rank's file in it. Throws kSystem where that fails.
  FlightRecorder(std::filesystem::path folder, int rank, int ranks);
  /// The file stays.
  ~FlightRecorder();
  FlightRecorder(const FlightRecorder&) = delete;
  FlightRecorder& operator=(const FlightRecorder&) = delete;

  /// Removes what an earlier job left in the folder; by one rank, before any other makes its file.
  static void clear(const std::filesystem::path& folder);
  /// After a normal end: removes this rank's file, and the folder with the last one.
  void remove();

  /// What follows belongs to this step.
  void set_step(std::int64_t step) { step_ = step; }
  /// An exchange was posted; returns the number of its record.
  std::uint64_t begin(const Phase& phase, std::uint64_t bytes_out, std::uint64_t bytes_in);
  /// The rank still polls.
  void alive(Time now);
  /// The peers that record `number` still waits for.
  void miss(std::uint64_t number, std::span<const int> peers);
  void end(std::uint64_t number, FlightState state);

  /// Keeps `message` in the folder as the job's failure number `number`, 0 being the first, unless another rank has
  /// done so. Returns whose it is.
  FailureClaim claim_failure(const std::string& message, int number = 0) const;
  /// Whether some rank has claimed a failure.
  bool job_has_failed() const;

  const std::filesystem::path& folder() const { return folder_; }

 private:
  void show_life(std::int64_t now);
  FlightRecord* find(std::uint64_t number);

  std::filesystem::path folder_;
  int rank_;
  FlightHeader* header_ = nullptr;
  FlightRecord* records_ = nullptr;
  std::uint64_t last_ = 0;
  std::int64_t step_ = 0;
};

/// Where a failure of a folder's job is kept: its line, and that of its host.
std::filesystem::path failure_path(const std::filesystem::path& folder, int number);

}  // namespace coe
