#include "launcher/report/gnuplot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

TEST(Gnuplot, TextKeepsItsQuotes) { EXPECT_EQ(gnuplot_text("it's"), "'it''s'"); }

TEST(Gnuplot, DrawsWhatTheProgramSays) {
  const Scratch scratch;
  const auto picture = scratch / "line.svg";
  const std::string program = "set terminal svg\nset output " + gnuplot_text(picture.string()) + "\nplot x\n";
  if (!run_gnuplot(program, picture)) GTEST_SKIP() << "gnuplot is not installed";
  EXPECT_THAT(read_text(picture), ::testing::HasSubstr("<svg"));
}

TEST(Gnuplot, AProgramThatFailsNamesThePicture) {
  try {
    if (!run_gnuplot("no such command\n", "x.svg")) GTEST_SKIP() << "gnuplot is not installed";
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("x.svg"));
  }
}

}  // namespace
}  // namespace coe
