#include <fmt/core.h>
#include <fmt/format.h>

#include <vector>

#include "launcher/command.h"
#include "launcher/options.h"
#include "launcher/report/loss_plot.h"
#include "launcher/run_directory.h"
#include "launcher/tell.h"

namespace coe {
namespace po = boost::program_options;

int run_plot(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "plot",
                          .usage = "RUN... --out FILE.svg",
                          .text =
                              "Draws the training and validation loss of runs with gnuplot.\n"
                              "RUN is the folder that coe train wrote.",
                          .positional = "run",
                          .most = -1};
  po::options_description options("options");
  options.add_options()("out", po::value<std::string>()->value_name("FILE"), "the picture; default RUN/loss.svg");
  const auto values = parse_options(syntax, options, arguments);
  if (!values) return 0;
  const auto runs = (*values)["run"].as<std::vector<std::string>>();
  std::filesystem::path picture = RunDirectory{runs[0]}.picture();
  if (values->count("out") == 1) picture = (*values)["out"].as<std::string>();
  const std::vector<std::filesystem::path> directories(runs.begin(), runs.end());
  if (draw_losses(directories, picture)) {
    fmt::print("{}\n", picture.string());
  } else {
    tell(fmt::format("plot: gnuplot is missing, so {} is not drawn; apt-get install gnuplot-nox", picture.string()));
  }
  return 0;
}

}  // namespace coe
