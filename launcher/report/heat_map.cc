#include "launcher/report/heat_map.h"

#include <fmt/format.h>

#include "launcher/report/gnuplot.h"

namespace coe {
namespace {

/// Pixels around the maps.
constexpr double kTop = 76, kBetweenRows = 88, kBetweenColumns = 28, kRight = 130, kBottom = 62, kBarWidth = 16;

std::string palette_text(Palette palette) {
  if (palette == Palette::kDiverging)
    return "set palette defined (0 '#053061', 1 '#2166ac', 2 '#67a9cf', 3 '#f7f7f7', 4 '#ef8a62', 5 '#b2182b', "
           "6 '#67001f')\n";
  return "set palette defined (0 '#ffffff', 1 '#d9e8f5', 2 '#9ecae1', 3 '#4292c6', 4 '#08519c', 5 '#08204a')\n";
}

std::string ticks_text(const std::vector<Tick>& ticks) {
  std::string text;
  for (const Tick& tick : ticks)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", gnuplot_text(tick.name), tick.value);
  return text;
}

/// Between the numbers beside a matrix.
int tick_step(std::size_t count) {
  for (const int step : {1, 2, 5, 10, 20, 50, 100})
    if (count <= 8 * static_cast<std::size_t>(step)) return step;
  return 1000;
}

std::string name_ticks(const std::vector<std::string>& names) {
  std::vector<Tick> ticks;
  for (std::size_t i = 0; i < names.size(); ++i) ticks.push_back({names[i], static_cast<double>(i)});
  return fmt::format("({})", ticks_text(ticks));
}

std::string data_block(std::size_t number, const HeatMap& map) {
  std::string text = fmt::format("$map{} << EOD\n", number);
  for (std::size_t i = 0; i < map.values.size(); ++i)
    text += fmt::format("{:.4g}{}", map.values[i], (i + 1) % map.columns == 0 ? '\n' : ' ');
  return text + "EOD\n";
}

/// Where maps lie on a picture, in pixels from its lower left corner.
struct Layout {
  explicit Layout(const HeatMapPicture& wanted) : picture(wanted) {
    const std::size_t rows = (picture.maps.size() + picture.maps_per_row - 1) / picture.maps_per_row;
    const auto columns = static_cast<double>(picture.maps_per_row);
    width = columns * column_step() - kBetweenColumns + kRight;
    height = kTop + static_cast<double>(rows) * row_step() - kBetweenRows + kBottom;
  }
  double column_step() const { return picture.label_width + picture.map_width + kBetweenColumns; }
  double row_step() const { return picture.map_height + kBetweenRows; }
  double left(std::size_t map) const {
    return static_cast<double>(map % picture.maps_per_row) * column_step() + picture.label_width;
  }
  double top(std::size_t map) const {
    return height - kTop - static_cast<double>(map / picture.maps_per_row) * row_step();
  }

  const HeatMapPicture& picture;
  double width, height;
};

std::string plot_text(const Layout& layout, std::size_t number) {
  const HeatMap& map = layout.picture.maps[number];
  const double left = layout.left(number), top = layout.top(number);
  return fmt::format(
             "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset tmargin at screen {:.5f}\n"
             "set bmargin at screen {:.5f}\n",
             left / layout.width, (left + layout.picture.map_width) / layout.width, top / layout.height,
             (top - layout.picture.map_height) / layout.height) +
         fmt::format("set title {} offset 0,-0.6\nset xlabel {} offset 0,0.4\nset ylabel {} offset 1,0\n",
                     gnuplot_text(map.title), gnuplot_text(map.x_label), gnuplot_text(map.y_label)) +
         fmt::format("set ytics {} scale 0\nset xtics {}\nset xrange [-0.5:{}]\nset yrange [{}:-0.5]\n",
                     map.row_names.empty() ? std::to_string(tick_step(map.rows)) : name_ticks(map.row_names),
                     tick_step(map.columns), static_cast<double>(map.columns) - 0.5,
                     static_cast<double>(map.rows) - 0.5) +
         fmt::format("plot $map{} matrix with image pixels notitle\n", number);
}

/// As high as the first map.
std::string colour_bar_text(const Layout& layout) {
  const HeatMapPicture& picture = layout.picture;
  const double x = layout.width - kRight + 22, y = layout.top(0) - picture.map_height;
  std::string text = fmt::format(
      "set colorbox vertical user origin {:.5f},{:.5f} size {:.5f},{:.5f} noborder\nset cbrange [{}:{}]\n"
      "set cblabel {} offset 0.5,0\n",
      x / layout.width, y / layout.height, kBarWidth / layout.width, picture.map_height / layout.height, picture.low,
      picture.high, gnuplot_text(picture.bar_label));
  if (!picture.bar_ticks.empty()) text += fmt::format("set cbtics ({}) scale 0\n", ticks_text(picture.bar_ticks));
  return text;
}

}  // namespace

std::string heat_map_program(const HeatMapPicture& picture, const std::filesystem::path& file) {
  const Layout layout(picture);
  std::string program;
  for (std::size_t i = 0; i < picture.maps.size(); ++i) program += data_block(i, picture.maps[i]);
  program += fmt::format(
      "set terminal svg size {:.0f},{:.0f} noenhanced background rgb 'white' font 'sans-serif,13'\nset output {}\n",
      layout.width, layout.height, gnuplot_text(file.string()));
  program += palette_text(picture.palette) + colour_bar_text(layout);
  program += "set border 15 lw 0.6 lc rgb '#888888'\nset xtics scale 0 offset 0,0.3\nunset key\n";
  program += fmt::format("set multiplot\nset label 1 {} at screen {:.5f},{:.5f} font ',16' front\n",
                         gnuplot_text(picture.title), layout.left(0) / layout.width, 1 - 22 / layout.height);
  for (std::size_t i = 0; i < picture.maps.size(); ++i) {
    program += plot_text(layout, i);
    if (i == 0) program += "unset label 1\nunset colorbox\n";
  }
  return program + "unset multiplot\n";
}

}  // namespace coe
