#include <array>
#include <filesystem>
#include <span>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/command.h"
#include "launcher/options.h"
#include "launcher/report/inspect_flight.h"
#include "launcher/report/inspect_routing.h"

namespace coe {
namespace po = boost::program_options;
namespace {

using Paths = std::vector<std::filesystem::path>;

/// One kind of file that the verb explains.
struct Inspector {
  bool (*knows)(const std::filesystem::path& path);  ///< Looks at the first bytes only; false where it cannot read.
  void (*inspect)(const Paths& paths, const po::variables_map& values);
};

constexpr std::array kInspectors{
    Inspector{knows_flights, inspect_flights},
    Inspector{knows_routing_record, inspect_routing_records},
};

const Inspector& inspector_of(const std::filesystem::path& path) {
  for (const Inspector& inspector : kInspectors)
    if (inspector.knows(path)) return inspector;
  check(std::filesystem::exists(path), "inspect: ", path.string(), " does not exist");
  fail(ErrorCode::kBadInput, "inspect: ", path.string(), " is no file of a kind that coe inspect explains");
}

}  // namespace

int run_inspect(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "inspect",
      .usage = "FILE... [options]",
      .text =
          "Explains what a run left. Flight files, or the folder of them, say which rank was behind when a job\n"
          "ended before its time; routing records (coe train --record-routing) are summed up and drawn.",
      .positional = "file",
      .most = -1};
  po::options_description options("options");
  add_flight_options(options);
  add_routing_options(options);
  const auto values = parse_options(syntax, options, arguments);
  if (!values) return 0;
  const auto names = (*values)["file"].as<std::vector<std::string>>();
  const Paths paths(names.begin(), names.end());
  const Inspector& inspector = inspector_of(paths[0]);
  for (const auto& path : paths)
    check(&inspector_of(path) == &inspector, "inspect: ", path.string(), " is of another kind than ", names[0]);
  inspector.inspect(paths, *values);
  return 0;
}

}  // namespace coe
