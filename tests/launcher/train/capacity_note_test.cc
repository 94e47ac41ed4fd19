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

TEST(CapacityNote, SaysWhatMessagesOfFixedSizeHave) {
  Config config = config_of(DropPolicy::kPosition, 0);
  config.model.sequence = 64;
  config.model.layer.experts = 8;
  config.model.layer.top_k = 2;
  config.model.layer.capacity_factor = 2;
  config.training.batch = 8;
  EXPECT_EQ(padding_note(config, 4), "");
  config.exchange.sizes = MessageSizes::kPadded;
  // 128 tokens a rank: all their choices may go to one of four.
  EXPECT_EQ(padding_note(config, 4),
            "each message between GPUs has room for 256 rows, of which 75 % is padding where routing is even");
  // Of rank scope: twice the even share of each of two experts.
  config.model.layer.capacity_scope = CapacityScope::kRank;
  EXPECT_EQ(padding_note(config, 4),
            "each message between GPUs has room for 128 rows, of which 50 % is padding where routing is even; in "
            "validation for 256");
  config.validation.capacity_factor = 2;
  EXPECT_EQ(padding_note(config, 4),
            "each message between GPUs has room for 128 rows, of which 50 % is padding where routing is even");
}

}  // namespace
}  // namespace coe
