#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "comm/flight_file.h"

namespace coe {

/// The flight files of a folder, or of the folder "flight" in it; empty without any. Throws kSystem where a folder
/// cannot be read.
std::vector<std::filesystem::path> flight_files_of(const std::filesystem::path& folder);

/// Reads flight files of one job, by rank. Throws kBadInput for a damaged file and for files of several jobs.
std::vector<FlightFile> read_flights(std::span<const std::filesystem::path> paths);

/// The flights as they stood when the first rank gave up, so that what ranks did while the job was taken down does not
/// hide who held it up; as they are where none gave up.
std::vector<FlightFile> at_first_failure(std::vector<FlightFile> flights);

/// The ranks that gave no sign of life when all others still did; empty where they all fell silent together. A rank
/// that others wait for and that waits itself keeps giving signs, so these are the ones that held the job up.
std::vector<const FlightFile*> silent_first(std::span<const FlightFile> flights);

/// How long before the last sign of life of any rank this one gave its own, in seconds.
double silence_of(const FlightFile& flight, std::span<const FlightFile> flights);

/// What a rank did last: "in dispatch of layer 0, iteration 1 of step 7", "after combine of ...".
std::string last_doing(const FlightFile& flight);

}  // namespace coe
