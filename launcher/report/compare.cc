#include <fmt/core.h>

#include <vector>

#include "launcher/command.h"
#include "launcher/options.h"
#include "launcher/report/run_summary.h"

namespace coe {

int run_compare(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "compare",
                          .usage = "RUN...",
                          .text =
                              "Prints one table of runs: loss, speed, where the time went, load of the experts.\n"
                              "RUN is the folder that coe train wrote.",
                          .positional = "run",
                          .most = -1};
  const auto options = parse_options(syntax, boost::program_options::options_description("options"), arguments);
  if (!options) return 0;
  std::vector<RunSummary> runs;
  for (const std::string& directory : (*options)["run"].as<std::vector<std::string>>())
    runs.push_back(summarise_run(directory));
  fmt::print("{}", comparison_table(runs));
  return 0;
}

}  // namespace coe
