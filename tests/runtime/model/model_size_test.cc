#include "runtime/model/model_size.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <vector>

#include "comm/make_transport.h"
#include "kernels/memory/random.h"
#include "runtime/model/model.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/posted_sums.h"

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

TrainingUse use_of(const ModelConfig& config, Recompute recompute, int chunks = 1) {
  return {.tokens = kSequences * config.sequence, .ranks = 1, .recompute = recompute, .chunks = chunks};
}

/// Whether a step on one rank needs more than `share` of the Arena that the hint asks for.
bool grows_beyond(double share, const ModelConfig& config, Recompute recompute, int chunks = 1) {
  const std::unique_ptr<Transport> transport = make_transport("local");
  const RankGroups groups(*transport, 0, kDefaultDeadline);
  Model model(config, groups, {.recompute = recompute, .chunks = chunks});
  initialise(config, 1, model.parameters());
  const Batch batch = deal_batch(kSequences, config.sequence, groups);
  Arena tokens, arena(static_cast<std::size_t>(
                    share * static_cast<double>(model_size(config, use_of(config, recompute, chunks)).arena_bytes())));
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
      for (const Recompute recompute : {Recompute::kNone, Recompute::kAttention, Recompute::kLayer}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(stream) << ' ' << sequence << ' '
                                        << static_cast<int>(recompute));
        EXPECT_FALSE(grows_beyond(1.1, config, recompute));
        EXPECT_TRUE(grows_beyond(0.9, config, recompute));
      }
    }
  }
}

TEST(ModelSize, ChunksTakeTheLayersPartOfTheArena) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm, 96);
  for (const Recompute recompute : {Recompute::kNone, Recompute::kLayer}) {
    EXPECT_FALSE(grows_beyond(1.1, config, recompute, 3)) << static_cast<int>(recompute);
    EXPECT_TRUE(grows_beyond(0.9, config, recompute, 3)) << static_cast<int>(recompute);
  }
  const ModelSize one = model_size(config, use_of(config, Recompute::kNone)),
                  three = model_size(config, use_of(config, Recompute::kNone, 3)),
                  again = model_size(config, use_of(config, Recompute::kLayer, 3));
  EXPECT_EQ(one.chunk_bytes, 0U);
  EXPECT_LE(three.arena_bytes(), one.arena_bytes());
  EXPECT_LE(3 * again.chunk_bytes, three.chunk_bytes) << "one layer's of five, and what one works on";
}

TEST(ModelSize, WindowsHavePlacesForAllLayers) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm, 16);
  // Rows of 10 iterations, 2 that pass through and 2 of results; of 2 ranks each may take all 96 x 2 x 2 choices.
  EXPECT_EQ(model_size(config, {.tokens = 96, .ranks = 2}).window_bytes, 14 * 384 * 33 * sizeof(float));
}

TEST(ModelSize, WhatIsComputedAgainIsKeptForNoLayer) {
  const ModelConfig config = model_of(ResidualStream::kPrenorm, 96);
  const auto size = [&](Recompute recompute) { return model_size(config, use_of(config, recompute)); };
  const ModelSize none = size(Recompute::kNone), attention = size(Recompute::kAttention),
                  layer = size(Recompute::kLayer);
  // Of each of 5 layers the probabilities of 6 x 4 x 96 x 96, and norm, q, k, v and what is mixed with a scale a token.
  constexpr std::size_t kAttention = sizeof(float) * 6 * (4 * 96 * 96 + 96 * (5 * 32 + 1));
  EXPECT_EQ(none.kept_bytes - attention.kept_bytes, 5 * kAttention);
  EXPECT_LE(attention.working_bytes, none.working_bytes + kAttention);
  EXPECT_EQ(layer.kept_bytes, 0U);
  EXPECT_EQ(attention.window_bytes, none.window_bytes);
  // 10 iterations' rows and 4 places more, against 2 and 4.
  EXPECT_EQ(none.window_bytes * 6, layer.window_bytes * 14);
  EXPECT_LT(layer.bytes(), attention.bytes());
}

TEST(ModelSize, WeightsAreThoseThatParametersHold) {
  ModelConfig config = model_of(ResidualStream::kPrenorm, 8);
  config.layer.router_bias = true;
  const std::unique_ptr<Transport> transport = make_transport("local");
  const RankGroups groups(*transport, 0, kDefaultDeadline);
  Model model(config, groups, {});
  std::size_t bytes = 0;
  for (const Parameter& parameter : model.parameters().all()) {
    for (const Tensor& x : {parameter.value, parameter.gradient, parameter.first_moment, parameter.second_moment})
      bytes += x.bytes();
  }
  EXPECT_EQ(weight_bytes(config, {.tokens = 16}), bytes);
  EXPECT_LT(weight_bytes(config, {.tokens = 16, .ranks = 4}), bytes);
  EXPECT_GT(weight_bytes(config, {.tokens = 16, .dtype = DType::kBF16}), bytes);
}

/// What malloc has given and not got back.
std::size_t allocated() {
  const struct mallinfo2 now = mallinfo2();
  return now.uordblks + now.hblkhd;
}

// In bf16 they would lie on a device: what it says of that is checked against what was asked for, on the host.
TEST(ModelSize, WeightsInPiecesTakeWhatItSays) {
  ModelConfig config = model_of(ResidualStream::kAuthors, 96);
  config.hidden = config.layer.hidden = 160;  // names and such take their part of a small one
  config.layer.iteration_norm = false;
  for (const auto& [ranks, group] : {std::pair(1, 1), std::pair(4, 4), std::pair(4, 2), std::pair(8, 2)}) {
    for (const bool shards : {false, true}) {
      const TrainingUse use{.tokens = 96, .ranks = group, .replicas = ranks / group, .shards_state = shards};
      const auto specs = model_specs(config, Placement(config.layer.experts, group).experts_of(0));
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        TrainingUse rounded = use;
        rounded.dtype = dtype;
        const std::size_t before = allocated();
        const Parameters parameters(specs, true, host_stream(), dtype, {{ranks, 0}, {ranks / group, 0}, shards});
        // Of each kind what sums of its gradients take.
        const auto room = [](const FlatParameters& flat) {
          const auto numbers = static_cast<std::size_t>(flat.deal.ranks() == 1 ? 0 : flat.deal.longest());
          return std::make_unique<std::vector<float>>(PostedSums::kAtOnce * numbers, 1.0F);
        };
        const auto replicated = room(parameters.replicated()), experts = room(parameters.experts());
        const std::size_t sums = (replicated->size() + experts->size()) * sizeof(float);
        const auto taken = static_cast<double>(allocated() - before);
        const auto said = static_cast<double>(weight_bytes(config, rounded));
        EXPECT_NEAR(static_cast<double>(parameters.bytes() + sums), said, 0.01 * said)
            << ranks << " " << group << shards;
        if (before == 0) continue;  // a malloc that does not tell, as sanitizers'
        EXPECT_NEAR(taken, said, 0.05 * said) << ranks << " " << group << shards;
      }
    }
  }
}

TEST(ModelSize, ManyRanksKeepAlmostNoStateOfWhatTheyHoldAlike) {
  ModelConfig config = model_of(ResidualStream::kPrenorm, 96);
  config.hidden = 1024;  // so that what is under way counts little
  const auto bytes = [&](bool shards) {
    return static_cast<double>(
        weight_bytes(config, {.tokens = 96, .ranks = 1, .replicas = 64, .shards_state = shards}));
  };
  EXPECT_NEAR(bytes(true), bytes(false) / 2, 0.1 * bytes(false));
}

}  // namespace
}  // namespace coe
