#include "runtime/routing/routing_record.h"

#include <gtest/gtest.h>

#include "kernels/memory/random.h"
#include "runtime/model/model.h"
#include "runtime/model/model_parameters.h"
#include "tests/ranks.h"
#include "tests/runtime/routing/recorded_model.h"

namespace coe {
namespace {

using Counts = std::vector<std::int64_t>;

RoutingRecord alone(const RoutingCounter& counter) {
  RoutingRecord record;
  on_ranks(1, [&](Transport& world) { record = counter.sum({&world}); });
  return record;
}

TEST(RoutingRecord, TwoTokensByHand) {
  Arena arena;
  RoutingCounter counter(empty_routing_record(model_of(2, 3, 2)));
  counter.count(0, 0, routing_of(3, {{{0}, {1}}, {{0}, {2}}}, arena));
  counter.count(0, 1, routing_of(3, {{{1}, {2}}, {{2}}}, arena));
  counter.count(1, 0, routing_of(3, {{}, {{0}}}, arena));
  counter.count(1, 1, routing_of(3, {{{0}}, {{0}}}, arena));
  counter.count_step(7);
  const RoutingRecord record = alone(counter);
  EXPECT_EQ(record.tokens, 2);
  EXPECT_EQ(record.steps, 1);
  EXPECT_EQ(record.last_step, 7);
  EXPECT_EQ(record.load, (Counts{2, 1, 1, 0, 1, 2, 1, 0, 0, 2, 0, 0}));
  EXPECT_EQ(record.coactivation, (Counts{2, 1, 1, 1, 1, 0, 1, 0, 1,  //
                                         0, 0, 0, 0, 1, 1, 0, 1, 2,  //
                                         1, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                         2, 0, 0, 0, 0, 0, 0, 0, 0}));
  // Token 0 goes from {0, 1} to {1, 2}, token 1 from {0, 2} to {2}; then nowhere, and from 0 to 0.
  EXPECT_EQ(record.transitions, (Counts{0, 1, 2, 0, 1, 1, 0, 0, 1,  //
                                        1, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(record.layer_transitions, (Counts{0, 0, 0, 0, 0, 0, 1, 0, 0}));
}

TEST(RoutingRecord, ADroppedChoiceIsCountedAsDroppedAlone) {
  Arena arena;
  RoutingCounter counter(empty_routing_record(model_of(1, 2, 2)));
  Choices tokens{{{0}, {1}}};
  counter.count(0, 0, routing_of(2, tokens, arena));
  tokens[0][0].kept = false;
  counter.count(0, 1, routing_of(2, tokens, arena));
  const RoutingRecord record = alone(counter);
  EXPECT_EQ(record.dropped, (Counts{0, 1}));
  EXPECT_EQ(record.load, (Counts{1, 1, 0, 1}));
  EXPECT_EQ(record.coactivation, (Counts{1, 1, 1, 1, 0, 0, 0, 1}));
  EXPECT_EQ(record.transitions, (Counts{0, 1, 0, 1}));
}

TEST(RoutingRecord, AChoiceThatWasReroutedCountsWhereItWent) {
  Arena arena;
  RoutingCounter counter(empty_routing_record(model_of(1, 3, 1)));
  const Choice dropped{.expert = 0, .kept = false}, granted{.expert = 2, .chosen = false};
  counter.count(0, 0, routing_of(3, {{dropped, {.expert = 1}, granted}}, arena));
  const RoutingRecord record = alone(counter);
  EXPECT_EQ(record.dropped, Counts{0});
  EXPECT_EQ(record.load, (Counts{0, 1, 1}));
}

TEST(RoutingRecord, GoesOnFromAnEarlierOne) {
  Arena arena;
  const Routing routing = routing_of(2, {{{0}, {1}}}, arena);
  RoutingCounter first(empty_routing_record(model_of(1, 2, 1)));
  first.count(0, 0, routing);
  RoutingCounter second(alone(first));
  second.count(0, 0, routing);
  const RoutingRecord record = alone(second);
  EXPECT_EQ(record.tokens, 2);
  EXPECT_EQ(record.load, (Counts{2, 2}));
}

TEST(RoutingRecord, RecordsOfAnotherShapeDoNotFit) {
  const RoutingRecord record = empty_routing_record(model_of(2, 8, 2));
  EXPECT_TRUE(record.fits(empty_routing_record(model_of(2, 8, 2))));
  EXPECT_FALSE(record.fits(empty_routing_record(model_of(1, 8, 2))));
  EXPECT_FALSE(record.fits(empty_routing_record(model_of(2, 4, 2))));
  EXPECT_FALSE(record.fits(empty_routing_record(model_of(2, 8, 1))));
}

/// A model with large weights, so that routing is uneven, on this rank of `world`.
struct RecordedModel {
  RecordedModel(const ModelConfig& config, Transport& world, std::int64_t expert_parallel)
      : groups(world, expert_parallel, kDefaultDeadline),
        model(config, groups, {}),
        counter(empty_routing_record(config)) {
    initialise(config, 4, model.parameters());
    for (const Parameter& parameter : model.parameters().all()) {
      if (parameter.value.shape().rank() != 2) continue;
      for (float& value : parameter.value.span<float>()) value *= 8;
    }
    model.record_routing(&counter);
  }

  /// Takes `sequences` sequences of made-up text, with or without a backward.
  void run(std::int64_t sequences, std::uint64_t stream, bool trained) {
    arena.reset();
    const ModelConfig& config = model.config();
    const Batch batch = deal_batch(sequences, config.sequence, groups);
    const Tensor ids = arena.make<std::int32_t>({batch.tokens()});
    std::uint64_t place = static_cast<std::uint64_t>(batch.first_sequence * batch.length);
    for (std::int32_t& id : ids.span<std::int32_t>())
      id = static_cast<std::int32_t>(random_below({1, stream}, place++, static_cast<std::uint64_t>(config.vocab)));
    if (trained) {
      model.loss_and_gradients(ids, ids, batch, 1, {}, arena);
    } else {
      model.loss(ids, ids, batch, arena);
    }
  }

  RankGroups groups;
  Model model;
  RoutingCounter counter;
  Arena arena;
};

RoutingRecord record_of(const ModelConfig& config, int ranks, std::int64_t expert_parallel) {
  RoutingRecord record;
  on_ranks(ranks, [&](Transport& world) {
    RecordedModel recorded(config, world, expert_parallel);
    for (std::uint64_t stream = 0; stream < 3; ++stream) recorded.run(5, stream, stream != 1);
    const RoutingRecord sum = recorded.counter.sum({&world});
    if (world.rank() == 0) record = sum;
  });
  return record;
}

void expect_one_record_at_any_ranks(const ModelConfig& config) {
  const RoutingRecord one = record_of(config, 1, 0);
  for (const int ranks : {2, 4, 7}) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks");
    const RoutingRecord many = record_of(config, ranks, 0);
    if (many.model.empty()) continue;  // a process that is not rank 0
    EXPECT_EQ(many.tokens, 3 * 5 * config.sequence);
    EXPECT_TRUE(many == one);
  }
}

TEST(RoutingRecordOnRanks, DoesNotDependOnTheNumberOfRanks) { expect_one_record_at_any_ranks(model_of(2, 8, 2)); }

TEST(RoutingRecordOnRanks, DoesNotDependOnTheNumberOfRanksWhereChoicesAreDropped) {
  ModelConfig config = model_of(2, 5, 3);
  config.layer.drop_policy = DropPolicy::kProbability;
  config.layer.capacity_factor = 1;
  expect_one_record_at_any_ranks(config);
}

TEST(RoutingRecordOnRanks, CountsReplicasOnce) {
  const ModelConfig config = model_of(2, 8, 2);
  const RoutingRecord one = record_of(config, 1, 0), replicas = record_of(config, 4, 2);
  if (replicas.model.empty()) return;
  EXPECT_TRUE(replicas == one);
}

/// Choices of every token in the last forward of one (layer, iteration).
std::vector<std::vector<std::int32_t>> choices_of(const Routing& routing) {
  std::vector<std::vector<std::int32_t>> tokens;
  const auto* offsets = routing.offsets.data<std::int32_t>();
  const auto* expert = routing.expert.data<std::int32_t>();
  for (std::int64_t t = 0; t < routing.tokens(); ++t) tokens.emplace_back(expert + offsets[t], expert + offsets[t + 1]);
  return tokens;
}

TEST(RoutingRecordOnRanks, CountsWhatTheModelsRoutingSays) {
  on_ranks(1, [](Transport& world) {
    const ModelConfig config = model_of(2, 4, 2);
    RecordedModel recorded(config, world, 0);
    recorded.run(6, 0, true);
    const RoutingRecord record = recorded.counter.sum({&world});
    const auto from = choices_of(recorded.model.last_routing(0, 1)), to = choices_of(recorded.model.last_routing(1, 0));
    Counts together(16), across(16);
    for (std::size_t t = 0; t < from.size(); ++t) {
      for (const std::int32_t i : from[t]) {
        for (const std::int32_t j : from[t]) ++together[static_cast<std::size_t>(i * 4 + j)];
        for (const std::int32_t j : to[t]) ++across[static_cast<std::size_t>(i * 4 + j)];
      }
    }
    const auto counted = record.coactivation_of(0, 1), crossed = record.transitions_from(0, 1);
    EXPECT_EQ(Counts(counted.begin(), counted.end()), together);
    EXPECT_EQ(Counts(crossed.begin(), crossed.end()), across);
  });
}

}  // namespace
}  // namespace coe
