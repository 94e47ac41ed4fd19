#include "launcher/report/loss_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/report/gnuplot.h"
#include "launcher/run_directory.h"
#include "runtime/config/config.h"
#include "runtime/training/metrics.h"

namespace coe {
namespace {

/// Blue, orange, green, purple: told apart by those who see no red from green.
constexpr std::array<std::string_view, 4> kColours{"#0072b2", "#d55e00", "#009e73", "#aa4499"};

/// A curve is drawn with about this many points: more cannot be seen.
constexpr std::size_t kPoints = 200;

struct Curve {
  std::string name;
  std::vector<StepMetrics> lines;
};

Curve read_curve(const std::filesystem::path& directory) {
  const RunDirectory run{directory};
  check(run.holds_run(), directory.string(), " holds no run (config.toml and metrics.jsonl are missing)");
  return {model_name(read_config(run.config()).model.layer), read_metrics(run.metrics())};
}

/// "step loss" lines of training, each the mean of as many steps as make a point.
std::string training_points(const std::vector<StepMetrics>& lines) {
  const std::size_t group = std::max<std::size_t>(1, lines.size() / kPoints);
  std::string points;
  double sum = 0;
  std::size_t count = 0;
  for (const StepMetrics& line : lines) {
    if (line.step == 0 || !line.skipped.empty()) continue;
    sum += line.loss;
    if (++count < group) continue;
    points += fmt::format("{} {}\n", line.step, sum / static_cast<double>(count));
    sum = 0;
    count = 0;
  }
  return points;
}

std::string validation_points(const std::vector<StepMetrics>& lines) {
  std::string points;
  for (const StepMetrics& line : lines)
    if (line.validation_loss) points += fmt::format("{} {}\n", line.step, *line.validation_loss);
  return points;
}

std::string data_block(std::string_view kind, std::size_t number, const std::string& points) {
  return fmt::format("${}{} << EOD\n{}EOD\n", kind, number, points);
}

}  // namespace

std::string loss_plot_program(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture) {
  std::string program, plots;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Curve curve = read_curve(runs[i]);
    const std::string_view colour = kColours[i % kColours.size()];
    program += data_block("training", i, training_points(curve.lines));
    program += data_block("validation", i, validation_points(curve.lines));
    plots += fmt::format(
        "{}$training{} with lines lw 1 lc rgb '{}' title {}, $validation{} with linespoints lw 2.5 pt 7 ps 0.6 lc rgb "
        "'{}' title {}",
        i == 0 ? "plot " : ", ", i, colour, gnuplot_text(curve.name + ", training"), i, colour,
        gnuplot_text(curve.name + ", validation"));
  }
  return program + fmt::format(
                       "set terminal svg size 900,560 enhanced background rgb 'white' font 'sans-serif,15'\n"
                       "set output {}\n"
                       "set xlabel 'step'\nset ylabel 'loss (nats per token)'\n"
                       "set grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\nset key top right noenhanced\n{}\n",
                       gnuplot_text(picture.string()), plots);
}

bool draw_losses(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture) {
  return run_gnuplot(loss_plot_program(runs, picture), picture);
}

}  // namespace coe
