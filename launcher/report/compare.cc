#include <fmt/core.h>

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/options.h"
#include "launcher/report/comparison_table.h"
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
  const auto names = (*options)["run"].as<std::vector<std::string>>();
  const std::vector<std::filesystem::path> directories(names.begin(), names.end());
  fmt::print("{}", comparison_table(summarise_runs(directories)));
  return 0;
}

}  // namespace coe
