#include "launcher/report/inspect_routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/routing/routing_record_file.h"
#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// CoE-2(1/2) in one layer: four tokens; expert 0 takes three of them, then each goes to the other expert.
RoutingRecord swapped() {
  RoutingRecord record;
  record.model = "CoE-2(1/2)";
  record.layers = record.top_k = 1;
  record.iterations = record.experts = 2;
  record.tokens = 4;
  record.load = {3, 1, 1, 3};
  record.dropped = {0, 0};
  record.coactivation = {3, 0, 0, 1, 1, 0, 0, 3};
  record.transitions = {0, 3, 1, 0};
  return record;
}

TEST(InspectRouting, TheSummaryNamesLoadPairsAndTransitions) {
  const std::string text = routing_summary(swapped());
  EXPECT_THAT(text, HasSubstr("CoE-2(1/2), 1 layers: 0 steps, 4 tokens"));
  EXPECT_THAT(text, ::testing::ContainsRegex("layer 0, iteration 0 +1.50 +0.50 +0.81 +0 +0.0 %  -\n"));
  // The second choice follows from the first: all 0.81 bits of it. 3 where chance gives 9/4; 1 where it gives 1/4.
  EXPECT_THAT(text, ::testing::ContainsRegex("iteration 1 +0.811  0>1 \\(1.3x\\), 1>0 \\(4.0x\\)\n"));
}

TEST(InspectRouting, PicturesShowLoadOverMeanAndDoublingsOverChance) {
  EXPECT_EQ(load_picture(swapped()).maps.at(0).values, (std::vector<double>{1.5, 0.5, 0.5, 1.5}));
  RoutingRecord record = swapped();
  record.transitions = {0, 30'000, 10'000, 0};
  const std::vector<double> doublings = transition_picture(record).maps.at(0).values;
  EXPECT_EQ(doublings[0], -3);              // never: the end of the scale
  EXPECT_NEAR(doublings[1], 0.415, 0.001);  // log2(4 / 3)
  EXPECT_NEAR(doublings[2], 2, 0.01);       // log2(4), but for the ten of kRare
  record.transitions = {0, 3, 1, 0};        // too few to be sure
  const HeatMapPicture pale = transition_picture(record);
  for (const double value : pale.maps.at(0).values) EXPECT_NEAR(value, 0, 0.3);
}

TEST(InspectRouting, SevenMapsStandInFoursAndNineInThrees) {
  RoutingRecord record = swapped();
  record.layers = 4;
  for (int i = 1; i < 4; ++i) record.transitions.insert(record.transitions.end(), {0, 3, 1, 0});
  for (int i = 0; i < 3; ++i) record.layer_transitions.insert(record.layer_transitions.end(), {0, 3, 1, 0});
  EXPECT_EQ(transition_picture(record).maps.size(), 7U);
  EXPECT_EQ(transition_picture(record).maps_per_row, 4U);
}

TEST(InspectRouting, TheCommandDrawsBesideTheFile) {
  const Scratch scratch;
  write_routing_record(scratch / "record.safetensors", swapped());
  const Outcome outcome = run_program(scratch, {"inspect", "record.safetensors"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("CoE-2(1/2)"));
  if (!outcome.err.empty()) GTEST_SKIP() << outcome.err;
  EXPECT_THAT(read_text(scratch / "record-load.svg"), HasSubstr("layer 0, iteration 1"));
  EXPECT_THAT(read_text(scratch / "record-transitions.svg"), HasSubstr("layer 0.0 to 0.1"));
}

TEST(InspectRouting, ADamagedRecordIsOneLine) {
  const Scratch scratch;
  RoutingRecord record = swapped();
  record.transitions[0] = 1;
  write_routing_record(scratch / "record.safetensors", record);
  const Outcome outcome = run_program(scratch, {"inspect", "record.safetensors"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err,
            "coe: record.safetensors: transitions from layer 0, iteration 0: row 0 sums to 4, must be 3\n");
  EXPECT_FALSE(std::filesystem::exists(scratch / "record-load.svg"));
}

}  // namespace
}  // namespace coe
