#include "launcher/report/loss_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <vector>

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
  EXPECT_THAT(program, HasSubstr("title 'CoE-2(2/4)'"));
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
  EXPECT_THAT(read_text(scratch_ / "loss.svg"), HasSubstr("CoE-2(2/4)"));
}

/// How each run's curves look in the program.
std::vector<std::string> styles_in(const std::string& program) {
  std::vector<std::string> styles;
  for (std::size_t at = program.find("$validation0 with"); at != std::string::npos;
       at = program.find("$validation", at + 1)) {
    const std::size_t with = program.find("with", at);
    styles.push_back(program.substr(with, program.find(" notitle", at) - with));
  }
  return styles;
}

TEST_F(LossPlot, ManyRunsOfOneModelAreToldApart) {
  write_run(3);
  std::vector<std::filesystem::path> runs;
  for (int i = 0; i < 12; ++i) {
    runs.push_back(scratch_ / ("seed" + std::to_string(i)));
    std::filesystem::create_directory(runs.back());
    for (const char* file : {"config.toml", "metrics.jsonl"})
      std::filesystem::copy(scratch_ / file, runs.back() / file);
  }
  const std::string program = loss_plot_program(runs, scratch_ / "loss.svg");
  for (int i = 0; i < 12; ++i) EXPECT_THAT(program, HasSubstr("title 'CoE-2(2/4) seed" + std::to_string(i) + "'"));
  std::vector<std::string> styles = styles_in(program);
  EXPECT_EQ(styles.size(), 12U);
  EXPECT_EQ(std::set<std::string>(styles.begin(), styles.end()).size(), 12U);
  if (draw_losses(runs, scratch_ / "loss.svg")) {
    EXPECT_THAT(read_text(scratch_ / "loss.svg"), HasSubstr("CoE-2(2/4) seed11"));
  }
}

TEST_F(LossPlot, ARunWithoutALineYetHasItsPlaceInTheKey) {
  scratch_.write("config.toml", kTinyConfig);
  const auto draws = [&](std::span<const std::filesystem::path> runs) {
    EXPECT_THAT(loss_plot_program(runs, "x.svg"), HasSubstr("title 'CoE-2(2/4) (nothing yet)'"));
    if (draw_losses(runs, scratch_ / "loss.svg")) {
      EXPECT_THAT(read_text(scratch_ / "loss.svg"), HasSubstr("nothing yet"));
    }
  };
  draws(std::array{scratch_.path()});
  MetricsWriter(scratch_ / "metrics.jsonl", -1);  // the file is there, and empty
  draws(std::array{scratch_.path()});
}

}  // namespace
}  // namespace coe
