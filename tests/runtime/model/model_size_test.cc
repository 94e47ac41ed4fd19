#include "runtime/model/model_size.h"

#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "kernels/memory/random.h"
#include "runtime/model/model.h"
#include "runtime/model/model_parameters.h"

namespace coe {
namespace {

constexpr std::int64_t kSequences = 6;

ModelConfig model_of(ResidualStream stream, std::int64_t sequence) {
  ModelConfig config;
  config.hidden = 32;
  config.layers = 5;
  config.heads = 4;
  config.sequence = sequence;
  config.residual_stream = stream;
  config.layer.expert_hidden = 24;
  config.layer.experts = 8;
  config.layer.top_k = 2;
  config.layer.iterations = 2;
  return config;
}

/// Whether a step on one rank needs more than `share` of the Arena that the hint asks for.
bool grows_beyond(double share, const ModelConfig& config) {
  const std::unique_ptr<Transport> transport = make_transport("local");
  const RankGroups groups(*transport, 0, kDefaultDeadline);
  Model model(config, groups, {});
  initialise(config, 1, model.parameters());
  const Batch batch = deal_batch(kSequences, config.sequence, groups);
  const std::size_t hint = model_size(config, {.tokens = batch.tokens()}).arena_bytes();
  Arena tokens, arena(static_cast<std::size_t>(share * static_cast<double>(hint)));
  const Tensor ids = tokens.make<std::int32_t>({batch.tokens()}), labels = tokens.make<std::int32_t>({batch.tokens()});
  for (std::int64_t i = 0; i < batch.tokens(); ++i) {
    ids.data<std::int32_t>()[i] = static_cast<std::int32_t>(random_below({1, 0}, static_cast<std::uint64_t>(i), 256));
    labels.data<std::int32_t>()[i] = ids.data<std::int32_t>()[i];
  }
  model.loss_and_gradients(ids, labels, batch, 1.0, {}, arena);
  return arena.growths() > 0;
}

TEST(ModelSize, ArenaBytesAreWithinATenthOfWhatAStepTakes) {
  for (const ResidualStream stream : {ResidualStream::kPrenorm, ResidualStream::kAuthors}) {
    for (const std::int64_t sequence : {16, 96}) {
      const ModelConfig config = model_of(stream, sequence);
      SCOPED_TRACE(testing::Message() << static_cast<int>(stream) << ' ' << sequence);
      EXPECT_FALSE(grows_beyond(1.1, config));
      EXPECT_TRUE(grows_beyond(0.9, config));
    }
  }
}

TEST(ModelSize, WindowsHavePlacesForAllLayers) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm, 16);
  // Rows of 10 iterations, 2 that pass through and 2 of results; of 2 ranks each may take all 96 x 2 x 2 choices.
  EXPECT_EQ(model_size(config, {.tokens = 96, .ranks = 2}).window_bytes, 14 * 384 * 33 * sizeof(float));
}

}  // namespace
}  // namespace coe
