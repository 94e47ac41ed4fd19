#include "launcher/report/loss_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "launcher/report/gnuplot.h"
#include "launcher/report/recorded_run.h"
#include "launcher/report/run_names.h"

namespace coe {
namespace {

/// Told apart by those who see no red from green, and by their points where there is no colour.
constexpr std::array<std::string_view, 8> kColours{"#0072b2", "#d55e00", "#009e73", "#aa4499",
                                                   "#e69f00", "#56b4e9", "#882255", "#555555"};
/// gnuplot's numbers of a full circle, square, triangles and a diamond, then the same empty.
constexpr std::array<int, 10> kPoints{7, 5, 9, 11, 13, 6, 4, 8, 10, 12};

/// A curve is drawn with about this many points: more cannot be seen.
constexpr std::size_t kPointsOfACurve = 200;

/// "step loss" lines of training, each the mean of as many steps as make a point.
std::string training_points(const std::vector<StepMetrics>& lines) {
  const std::size_t group = std::max<std::size_t>(1, lines.size() / kPointsOfACurve);
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

/// How the curves of run number `number` look: beyond the colours in other dashes.
std::string style_of(std::size_t number) {
  return fmt::format("dt {} lc rgb '{}'", number / kColours.size() + 1, kColours[number % kColours.size()]);
}

/// A block of data and, with gnuplot's `with`, what is drawn of it; nothing to draw where there is no point.
struct Curve {
  std::string data, plot;
};

Curve make_curve(std::string_view kind, std::size_t number, const std::string& points, const std::string& with) {
  if (points.empty()) return {};
  return {fmt::format("${}{} << EOD\n{}EOD\n", kind, number, points),
          fmt::format("${}{} with {} {} notitle", kind, number, with, style_of(number))};
}

/// An entry of the key alone: a run without a point yet has one too.
std::string key_entry(const std::string& with, const std::string& title) {
  return fmt::format("keyentry with {} title {}", with, gnuplot_text(title));
}

constexpr std::string_view kSettings =
    "set grid lc rgb '#dddddd'\nset border 3\nset tics nomirror\nset key outside right top noenhanced\n"
    "set xlabel 'step'\nset ylabel 'loss (nats per token)'\n";

}  // namespace

std::string loss_plot_program(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture) {
  std::vector<std::string> models, plots;
  std::vector<RecordedRun> recorded;
  for (const std::filesystem::path& run : runs) models.push_back(recorded.emplace_back(read_run(run)).model);
  const std::vector<std::string> names = run_names(models, runs);
  std::string data, keys;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string points = fmt::format("linespoints lw 2.5 pt {} ps 0.6", kPoints[i % kPoints.size()]);
    const Curve training = make_curve("training", i, training_points(recorded[i].lines), "lines lw 1");
    const Curve validation = make_curve("validation", i, validation_points(recorded[i].lines), points);
    for (const Curve& curve : {training, validation}) {
      data += curve.data;
      if (!curve.plot.empty()) plots.push_back(curve.plot);
    }
    const bool empty = training.plot.empty() && validation.plot.empty();
    keys += ", " + key_entry(points + " " + style_of(i), names[i] + (empty ? " (nothing yet)" : ""));
  }
  // Where nothing can be drawn gnuplot wants to know the axes, and something to draw.
  const std::string axes = plots.empty() ? "set xrange [0:1]\nset yrange [0:1]\n" : "";
  if (plots.empty()) plots.push_back("-1 notitle");
  return fmt::format(
      "{}set terminal svg size 1000,560 enhanced background rgb 'white' font 'sans-serif,15'\n"
      "set output {}\n{}{}plot {}, {}, {}{}\n",
      data, gnuplot_text(picture.string()), kSettings, axes, fmt::join(plots, ", "),
      key_entry("lines lw 1 lc rgb 'black'", "training (mean)"),
      key_entry("linespoints lw 2.5 pt 7 ps 0.6 lc rgb 'black'", "validation"), keys);
}

bool draw_losses(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture) {
  return run_gnuplot(loss_plot_program(runs, picture), picture);
}

}  // namespace coe
