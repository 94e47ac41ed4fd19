#include "launcher/report/inspect_flight.h"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

#include "comm/flight_recorder.h"
#include "kernels/memory/error.h"
#include "launcher/flight_report.h"

namespace coe {
namespace po = boost::program_options;
namespace {

namespace fs = std::filesystem;

/// "2026-01-31 23:59:59.123456" of nanoseconds since 1970, UTC.
std::string time_text(std::int64_t wall) {
  const std::int64_t seconds = wall / 1'000'000'000, rest = wall % 1'000'000'000;
  if (seconds < 0 || seconds > 253'402'300'799) return "at no time";  // beyond the year 9999
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06}", fmt::gmtime(static_cast<std::time_t>(seconds)), rest / 1000);
}

std::string missing_text(const FlightRecord& record) {
  if (record.missing == 0) return "";
  std::string text = record.missing == 1 ? " for rank " : " for ranks ";
  const std::size_t named = std::min<std::size_t>(record.missing, FlightRecord::kNamed);
  for (std::size_t i = 0; i < named; ++i) text += fmt::format("{}{}", i > 0 ? ", " : "", record.named[i]);
  return record.missing > named ? text + fmt::format(" and {} more", record.missing - named) : text;
}

double milliseconds_between(std::int64_t begin, std::int64_t end) {
  return (static_cast<double>(end) - static_cast<double>(begin)) * 1e-6;
}

/// What a rank did when it fell silent.
std::string last_sentence(const FlightFile& flight) {
  const FlightRecord* const newest = flight.newest();
  if (newest == nullptr || newest->state == FlightState::kDone) return last_doing(flight);
  const bool open = newest->state == FlightState::kOpen;
  const double waited = milliseconds_between(newest->posted, open ? flight.header.alive : newest->ended) * 1e-3;
  return fmt::format("{} {:.2f} s{} {}", open ? "waited" : "gave up after", waited, missing_text(*newest),
                     last_doing(flight));
}

std::string outcome_text(const FlightRecord& record) {
  if (record.state == FlightState::kOpen) return "open, waits" + missing_text(record);
  const double took = milliseconds_between(record.posted, record.ended);
  if (record.state == FlightState::kDone) return fmt::format("{:.3f} ms", took);
  return fmt::format("given up after {:.3f} ms, waited{}", took, missing_text(record));
}

std::string first_line_of(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  for (char& letter : line)
    if (letter < ' ' || letter > '~') letter = '?';
  return line;
}

/// Further ones were said where the launcher seemed not to hear the ones before.
void print_failures(const fs::path& folder) {
  for (int number = 0; fs::exists(failure_path(folder, number)); ++number)
    fmt::print("{} failure: {}\n", number == 0 ? "first" : "next", first_line_of(failure_path(folder, number)));
}

void print_missing_ranks(std::span<const FlightFile> flights) {
  const auto ranks = static_cast<std::size_t>(flights[0].header.ranks);
  if (flights.size() == ranks) return;
  fmt::print("{} of the job's {} ranks left no file here: they ended in order, or on another machine\n",
             ranks - flights.size(), ranks);
}

void print_who_was_behind(std::span<const FlightFile> flights) {
  const auto silent = silent_first(flights);
  for (const FlightFile* const flight : silent)
    fmt::print("rank {} was behind: silent {:.2f} s before the last of the others, {}\n", flight->header.rank,
               silence_of(*flight, flights), last_sentence(*flight));
  if (silent.empty()) fmt::print("no rank was behind: all fell silent together\n");
}

void print_ranks(std::span<const FlightFile> flights) {
  for (const FlightFile& flight : flights) {
    const std::uint64_t exchanges = flight.newest() == nullptr ? 0 : flight.newest()->number;
    fmt::print("rank {}: {} exchanges, last sign of life {}: {}\n", flight.header.rank, exchanges,
               time_text(flight.alive()), last_sentence(flight));
  }
}

struct RankRecord {
  const FlightFile* flight;
  const FlightRecord* record;
  std::int64_t posted() const { return flight->wall(record->posted); }
};

void print_records(std::span<const FlightFile> flights, std::size_t most) {
  std::vector<RankRecord> all;
  for (const FlightFile& flight : flights)
    for (const FlightRecord& record : flight.records) all.push_back({&flight, &record});
  std::ranges::stable_sort(all, {}, &RankRecord::posted);
  for (const RankRecord& one : std::span(all).last(std::min(most, all.size())))
    fmt::print("{}  rank {}  exchange {}  {}  {} bytes out, {} in  {}\n", time_text(one.posted()),
               one.flight->header.rank, one.record->number, one.record->text(), one.record->bytes_out,
               one.record->bytes_in, outcome_text(*one.record));
}

}  // namespace

void add_flight_options(po::options_description& options) {
  options.add_options()("records", po::value<int>()->value_name("N")->default_value(0),
                        "flight files: the newest N exchanges of all ranks, in the order of time");
}

bool knows_flights(const fs::path& path) {
  return fs::is_directory(path) ? !flight_files_of(path).empty() : is_flight_file(path);
}

void inspect_flights(const std::vector<fs::path>& paths, const po::variables_map& values) {
  const int records = values["records"].as<int>();
  check(records >= 0, "inspect: records is ", records, ", must be at least 0");
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    const auto own = fs::is_directory(path) ? flight_files_of(path) : std::vector{path};
    files.insert(files.end(), own.begin(), own.end());
  }
  const std::vector<FlightFile> flights = read_flights(files);
  print_failures(files[0].parent_path());
  print_who_was_behind(at_first_failure(flights));
  print_missing_ranks(flights);
  print_ranks(at_first_failure(flights));
  print_records(flights, static_cast<std::size_t>(records));
}

}  // namespace coe
