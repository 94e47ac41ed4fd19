#include "launcher/train/capacity_note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

using ::testing::HasSubstr;

Config config_of(DropPolicy policy, std::int64_t rounds) {
  Config config;
  config.model.layer.drop_policy = policy;
  config.model.layer.reroute_rounds = rounds;
  return config;
}

TEST(CapacityNote, SaysWhichKeyLooksAhead) {
  EXPECT_EQ(look_ahead_note(config_of(DropPolicy::kNone, 0).model.layer), "");
  EXPECT_EQ(look_ahead_note(config_of(DropPolicy::kPosition, 0).model.layer), "");
  EXPECT_THAT(look_ahead_note(config_of(DropPolicy::kProbability, 0).model.layer),
              HasSubstr("layer.drop_policy probability lets training look ahead"));
  EXPECT_THAT(look_ahead_note(config_of(DropPolicy::kPosition, 1).model.layer),
              HasSubstr("layer.reroute_rounds lets training look ahead"));
}

TEST(CapacityNote, SaysOnWhatALossWasMeasured) {
  EXPECT_EQ(capacity_note(config_of(DropPolicy::kNone, 0)), "");
  EXPECT_EQ(capacity_note(config_of(DropPolicy::kPosition, 0)), ", without dropping choices");
  Config config = config_of(DropPolicy::kPosition, 0);
  config.validation.capacity_factor = 1.25;
  EXPECT_EQ(capacity_note(config), ", with capacity factor 1.25");
  config.model.layer.reroute_rounds = 1;
  EXPECT_EQ(capacity_note(config), ", with capacity factor 1.25, looking ahead");
}

}  // namespace
}  // namespace coe
