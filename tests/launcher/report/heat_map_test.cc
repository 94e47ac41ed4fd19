#include "launcher/report/heat_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/report/gnuplot.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

HeatMapPicture two_maps() {
  const HeatMap map{"it's one", "to", "from", 2, 3, {0, 1, 2, 3, 4, 5.5}, {"upper", "lower"}};
  HeatMap other = map;
  other.title = "two";
  other.row_names.clear();
  HeatMapPicture picture;
  picture.title = "both";
  picture.maps = {map, other};
  picture.maps_per_row = 2;
  picture.map_width = 90;
  picture.map_height = 60;
  picture.label_width = 60;
  picture.high = 5.5;
  picture.bar_label = "heat";
  picture.bar_ticks = {{"cold", 0}, {"hot", 5}};
  return picture;
}

TEST(HeatMap, CarriesItsDataAndItsNames) {
  const std::string program = heat_map_program(two_maps(), "x.svg");
  EXPECT_THAT(program, HasSubstr("$map0 << EOD\n0 1 2\n3 4 5.5\nEOD\n"));
  EXPECT_THAT(program, HasSubstr("set title 'it''s one'"));
  EXPECT_THAT(program, HasSubstr("set ytics ('upper' 0, 'lower' 1)"));
  EXPECT_THAT(program, HasSubstr("set xtics 1\nset xrange [-0.5:2.5]\nset yrange [1.5:-0.5]\n"));
  EXPECT_THAT(program, HasSubstr("set cbtics ('cold' 0, 'hot' 5)"));
}

TEST(HeatMap, GnuplotDrawsIt) {
  const Scratch scratch;
  const auto file = scratch / "maps.svg";
  if (!run_gnuplot(heat_map_program(two_maps(), file), file)) GTEST_SKIP() << "gnuplot is not installed";
  const std::string svg = read_text(file);
  for (const char* text : {"both", "it's one", "two", "upper", "from", "heat", "hot"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
}

}  // namespace
}  // namespace coe
