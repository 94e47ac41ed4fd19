#include "launcher/report/loss_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "runtime/training/metrics.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

class LossPlot : public ::testing::Test {
 protected:
  /// Steps 1 to `steps` of loss 10 - step, validation before the first.
  void write_run(std::int64_t steps) {
    scratch_.write("config.toml", kTinyConfig);
    MetricsWriter writer(scratch_ / "metrics.jsonl", -1);
    writer.write({.step = 0, .validation_loss = 9.5});
    for (std::int64_t step = 1; step <= steps; ++step)
      writer.write({.step = step, .loss = 10.0 - static_cast<double>(step)});
  }

  Scratch scratch_;
};

TEST_F(LossPlot, EveryCurveCarriesItsDataAndItsName) {
  write_run(2);
  const std::string program = loss_plot_program(std::array{scratch_.path()}, "it's.svg");
  EXPECT_THAT(program, HasSubstr("$training0 << EOD\n1 9\n2 8\nEOD\n"));
  EXPECT_THAT(program, HasSubstr("$validation0 << EOD\n0 9.5\nEOD\n"));
  EXPECT_THAT(program, HasSubstr("title 'CoE-2(2/4), training'"));
  EXPECT_THAT(program, HasSubstr("set output 'it''s.svg'"));
}

TEST_F(LossPlot, ALongRunIsDrawnWithMeansOfNeighbours) {
  write_run(500);  // two steps a point
  const std::string program = loss_plot_program(std::array{scratch_.path()}, "x.svg");
  EXPECT_THAT(program, HasSubstr("$training0 << EOD\n2 8.5\n4 6.5\n"));
}

TEST_F(LossPlot, GnuplotDrawsThePicture) {
  write_run(3);
  if (!draw_losses(std::array{scratch_.path()}, scratch_ / "loss.svg")) GTEST_SKIP() << "gnuplot is not installed";
  EXPECT_THAT(read_text(scratch_ / "loss.svg"), HasSubstr("CoE-2(2/4), training"));
}

}  // namespace
}  // namespace coe
