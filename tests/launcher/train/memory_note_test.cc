#include "launcher/train/memory_note.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/model/model_size.h"

namespace coe {
namespace {

TEST(MemoryNote, SaysWhatIsTakenAndWhatTheOthersWouldTake) {
  Config config;
  config.model.hidden = 64;
  config.model.layers = 8;
  config.model.heads = 4;
  config.model.sequence = 512;
  config.model.layer.expert_hidden = 32;
  config.model.layer.experts = 8;
  config.model.layer.top_k = 2;
  config.training.batch = 12;
  config.training.recompute = Recompute::kAttention;
  // Ten ranks: two sequences on some. Their probabilities alone take 2 x 4 x 512 x 512 x 4 bytes = 8 MiB a layer.
  EXPECT_EQ(training_use(config, 10).tokens, 1024);
  EXPECT_EQ(training_use(config, 10).ranks, 10);
  const auto mebibytes = [&](Recompute recompute) {
    TrainingUse use = training_use(config, 10);
    use.recompute = recompute;
    return std::to_string((model_size(config.model, use).bytes() + (1 << 19)) >> 20);
  };
  const std::string note = memory_note(config, 10);
  // Of 8 experts one a rank: 8 x (4 x 64 x 64 + 3 x 64 x 32 + 8 x 64) + 2 x 256 x 64 weights and a few,
  // 16 bytes each, and of the 169,024 that all have twice ten pieces of 64 KiB on their way.
  EXPECT_EQ(
      note,
      "a rank takes about 5 MiB for weights with gradients and moments (3 with training.shard_optimiser), and for "
      "activations and the rows exchanged for them " +
          mebibytes(Recompute::kAttention) + " MiB with training.recompute \"attention\"; " +
          mebibytes(Recompute::kNone) + " with \"none\", " + mebibytes(Recompute::kLayer) + " with \"layer\"");
  EXPECT_GT(std::stoi(mebibytes(Recompute::kNone)), std::stoi(mebibytes(Recompute::kAttention)) + 7 * 8);
  config.training.shard_optimiser = true;
  EXPECT_THAT(memory_note(config, 10),
              testing::HasSubstr("about 3 MiB for weights with gradients and moments (5 without "
                                 "training.shard_optimiser), and"));
  EXPECT_THAT(memory_note(config, 1), testing::HasSubstr("for weights with gradients and moments, and"));
}

}  // namespace
}  // namespace coe
