#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace coe {

/// One matrix in a picture; row 0 is drawn on top.
struct HeatMap {
  std::string title, x_label, y_label;
  std::size_t rows = 0, columns = 0;
  std::vector<double> values;          ///< [rows, columns]
  std::vector<std::string> row_names;  ///< empty: rows are numbered
};

enum class Palette {
  kSequential,  ///< light to dark
  kDiverging    ///< blue, white in the middle, red
};

struct Tick {
  std::string name;
  double value = 0;
};

/// Heat maps of one size under one title, beside one colour bar.
struct HeatMapPicture {
  std::string title;
  std::vector<HeatMap> maps;
  std::size_t maps_per_row = 1;
  double map_width = 0, map_height = 0;  ///< pixels
  double label_width = 0;                ///< pixels that the names of rows take
  Palette palette = Palette::kSequential;
  double low = 0, high = 1;  ///< values at the ends of the colour bar
  std::string bar_label;
  std::vector<Tick> bar_ticks;  ///< empty: gnuplot's own
};

/// The gnuplot program that draws it as SVG into `file`, data included.
std::string heat_map_program(const HeatMapPicture& picture, const std::filesystem::path& file);

}  // namespace coe
