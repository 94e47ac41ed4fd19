#include "launcher/flight_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "kernels/memory/error.h"
#include "runtime/files/listing.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

/// Signs of life of ranks that are well lie as close as a busy machine lets them run.
constexpr double kTogether = 0.05;

double seconds_between(std::int64_t earlier, std::int64_t later) {
  return (static_cast<double>(later) - static_cast<double>(earlier)) * 1e-9;
}

std::int64_t newest_sign(std::span<const FlightFile> flights) {
  return std::ranges::max(flights, {}, &FlightFile::alive).alive();
}

/// When the first rank gave up, at the latest: its newest sign of life.
std::int64_t first_failure_time(std::span<const FlightFile> flights) {
  std::int64_t time = newest_sign(flights);
  for (const FlightFile& flight : flights)
    for (const FlightRecord& record : flight.records)
      if (record.state == FlightState::kGivenUp) time = std::min(time, flight.wall(record.ended));
  return time;
}

void cut_at(FlightFile& flight, std::int64_t time) {
  std::erase_if(flight.records, [&](const FlightRecord& record) { return flight.wall(record.posted) > time; });
  for (FlightRecord& record : flight.records)
    if (flight.wall(record.ended) > time) record.state = FlightState::kOpen;
  FlightHeader& header = flight.header;
  if (flight.wall(header.still_from) <= time && time < flight.wall(header.still_to)) header.alive = header.still_from;
  if (flight.alive() > time) header.alive -= flight.alive() - time;
}

/// Of a run's jobs the last, should one that had hung have left a folder too.
fs::path newest_folder_in(const fs::path& flights) {
  fs::path newest;
  fs::file_time_type time;
  std::error_code gone;
  for (const fs::path& entry : entries_of(flights)) {
    const fs::file_time_type own = fs::last_write_time(entry, gone);
    if (!fs::is_directory(entry, gone) || (!newest.empty() && own <= time)) continue;
    newest = entry;
    time = own;
  }
  return newest;
}

}  // namespace

std::vector<fs::path> flight_files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::path& place :
       {folder, folder / "flight", newest_folder_in(folder), newest_folder_in(folder / "flight")}) {
    for (const fs::path& entry : entries_of(place))
      if (entry.extension() == ".flight") files.push_back(entry);
    if (!files.empty()) break;
  }
  std::ranges::sort(files);
  return files;
}

std::vector<FlightFile> read_flights(std::span<const fs::path> paths) {
  std::vector<FlightFile> flights;
  for (const fs::path& path : paths) {
    flights.push_back(read_flight_file(path));
    const FlightHeader &first = flights.front().header, &own = flights.back().header;
    check(own.ranks == first.ranks, "flight files: ", path.string(), " is of a job of ", own.ranks, " ranks, ",
          paths[0].string(), " of one of ", first.ranks);
  }
  std::ranges::sort(flights, {}, [](const FlightFile& flight) { return flight.header.rank; });
  for (std::size_t i = 1; i < flights.size(); ++i)
    check(flights[i - 1].header.rank < flights[i].header.rank, "flight files: ", flights[i - 1].path.string(), " and ",
          flights[i].path.string(), " are both of rank ", flights[i].header.rank);
  return flights;
}

std::vector<FlightFile> at_first_failure(std::vector<FlightFile> flights) {
  const std::int64_t time = flights.empty() ? 0 : first_failure_time(flights);
  for (FlightFile& flight : flights) cut_at(flight, time);
  return flights;
}

double silence_of(const FlightFile& flight, std::span<const FlightFile> flights) {
  return seconds_between(flight.alive(), newest_sign(flights));
}

std::vector<const FlightFile*> silent_first(std::span<const FlightFile> flights) {
  std::vector<const FlightFile*> silent;
  if (flights.empty()) return silent;
  const std::int64_t oldest = std::ranges::min(flights, {}, &FlightFile::alive).alive();
  for (const FlightFile& flight : flights)
    if (seconds_between(oldest, flight.alive()) < kTogether) silent.push_back(&flight);
  if (silent.size() == flights.size()) silent.clear();
  return silent;
}

std::string last_doing(const FlightFile& flight) {
  const FlightRecord* const newest = flight.newest();
  if (newest == nullptr) return "before its first exchange";
  return (newest->state == FlightState::kDone ? "after " : "in ") + newest->text();
}

}  // namespace coe
