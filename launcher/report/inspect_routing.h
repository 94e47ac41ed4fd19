#pragma once

#include <boost/program_options.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "launcher/report/heat_map.h"
#include "runtime/routing/routing_record.h"

namespace coe {

/// Two tables: how even the load of every (layer, iteration) is and which experts are chosen together; how much a
/// token's experts tell of its next ones, and which transitions are the most frequent.
std::string routing_summary(const RoutingRecord& record);

/// Load over mean load, a row per (layer, iteration).
HeatMapPicture load_picture(const RoutingRecord& record);
/// Transitions over what chance would give, a map per pair of iterations; no map where one iteration is all there is.
HeatMapPicture transition_picture(const RoutingRecord& record);

/// Whether a file's first bytes are those of a routing record.
bool knows_routing_record(const std::filesystem::path& file);
/// Adds --out, where the pictures go.
void add_routing_options(boost::program_options::options_description& options);
/// Prints the summary of every record and draws its pictures, NAME-load.svg and NAME-transitions.svg. Throws what
/// read_routing_record throws.
void inspect_routing_records(const std::vector<std::filesystem::path>& files,
                             const boost::program_options::variables_map& values);

}  // namespace coe
