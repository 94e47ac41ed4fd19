#include "launcher/report/comparison_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace coe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ComparisonTable, SaysWhatARunCameTo) {
  RunSummary run;
  run.name = "CoE-2(2/4)";
  run.first_validation = 5.5;
  run.last_validation = 4.25;
  run.seconds = 4;
  run.tokens = 2000;
  run.bytes_exchanged = 2 << 20;
  run.times[Part::kExperts] = 2;
  const std::string table = comparison_table(std::array{run});
  EXPECT_THAT(table, HasSubstr("CoE-2(2/4)\n"));
  EXPECT_THAT(table, HasSubstr("5.5000\n"));
  EXPECT_THAT(table, HasSubstr("4.2500\n"));
  EXPECT_THAT(table, HasSubstr(" 500\n"));  // tokens/s
  EXPECT_THAT(table, HasSubstr("50.0 %\n"));
  EXPECT_THAT(table, HasSubstr("2.00 MiB\n"));
}

TEST(ComparisonTable, WhatARunHasNotIsADash) {
  const std::string table = comparison_table(std::array{RunSummary{}});
  EXPECT_THAT(table, ::testing::ContainsRegex("validation loss after +-\n"));
  EXPECT_THAT(table, ::testing::ContainsRegex("tokens/s +-\n"));
  EXPECT_THAT(table, Not(HasSubstr("expert load")));
}

TEST(ComparisonTable, RunsStandSideBySide) {
  RunSummary chain, plain;
  chain.name = "CoE-2(4/64)";
  chain.load = {1.5, 2.5};
  chain.tokens = 1'234'567;
  chain.seconds = 1;
  plain.name = "MoE(8/64)";
  plain.load = {3.5};
  const std::string table = comparison_table(std::array{chain, plain});
  EXPECT_THAT(table, HasSubstr("CoE-2(4/64)  MoE(8/64)\n"));
  EXPECT_THAT(table, HasSubstr("expert load max/mean, iteration 1         1.50       3.50\n"));
  EXPECT_THAT(table, HasSubstr("expert load max/mean, iteration 2         2.50          -\n"));
  EXPECT_THAT(table, HasSubstr("1,234,567"));
}

}  // namespace
}  // namespace coe
