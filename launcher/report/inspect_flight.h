#pragma once

#include <boost/program_options.hpp>
#include <filesystem>
#include <vector>

namespace coe {

void add_flight_options(boost::program_options::options_description& options);

/// Whether `path` is a flight file, or a folder of them.
bool knows_flights(const std::filesystem::path& path);

/// Merges the flight files of a job's ranks and prints who was behind, and what each rank did last. Throws kBadInput
/// for a damaged file.
void inspect_flights(const std::vector<std::filesystem::path>& paths,
                     const boost::program_options::variables_map& values);

}  // namespace coe
