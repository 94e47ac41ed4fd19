#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/routing/routing_record.h"
#include "runtime/training/trainer.h"
#include "tests/ranks.h"
#include "tests/runtime/training/two_layer_config.h"

namespace coe {
namespace {

constexpr int kSteps = 3;

Config tiny_config() {
  Config config = two_layer_config(16, 8);
  config.training.micro_batch = 4;
  return config;
}

Config all_routing() {
  Config config = with_all_routing(tiny_config());
  config.model.layer.router_bias_rate = 0.1F;
  return config;
}

Config authors_wiring() {
  Config config = tiny_config();
  config.model.residual_stream = ResidualStream::kAuthors;
  config.model.layer.shared_experts = 1;
  config.model.layer.residual = Residual::kOuter;
  config.exchange.order = ExchangeOrder::kPartialSums;
  return config;
}

Config remoe() {
  Config config = tiny_config();
  config.model.layer.router = RouterKind::kRelu;
  config.model.layer.balance_loss = BalanceLoss::kNone;
  config.model.layer.balance_loss_coeff = 0;
  config.model.layer.l1_coeff = 1e-3F;
  return config;
}

/// What some steps left on a rank, to the bit.
struct Trace {
  std::vector<double> numbers;
  std::vector<std::int64_t> counted;
  RoutingRecord routing;
  std::int64_t bytes = 0;
};

Trace train(Config config, Recompute recompute, Transport& world, bool records = true) {
  config.training.recompute = recompute;
  const auto open = [&](Split split) {
    return make_token_source(config.data, split, config.model.sequence, config.model.vocab, config.training.seed);
  };
  const auto training = open(Split::kTrain), validation = open(Split::kValidation);
  Trainer trainer(config, world, *training, *validation);
  RoutingCounter routing(empty_routing_record(config.model));
  if (records) trainer.record_routing(routing);
  Trace trace;
  for (int step = 0; step < kSteps; ++step) {
    const StepReport report = trainer.step();
    trace.numbers.insert(trace.numbers.end(),
                         {report.loss, report.balance_loss, report.gradient_norm, report.l1_coeff});
    for (const RoutingReport& one : report.routing) {
      trace.counted.insert(trace.counted.end(), one.load.begin(), one.load.end());
      trace.counted.insert(trace.counted.end(), {one.tokens, one.dropped, one.rerouted});
    }
    trace.bytes += report.bytes_exchanged;
  }
  trace.numbers.push_back(trainer.validate());
  trace.routing = routing.sum({&world});
  return trace;
}

void expect_same_bits(const Config& config) {
  for (const int ranks : {1, 2, 3}) {
    on_ranks(ranks, [&](Transport& world) {
      const Trace kept = train(config, Recompute::kNone, world);
      for (const Recompute recompute : {Recompute::kAttention, Recompute::kLayer}) {
        const Trace again = train(config, recompute, world);
        EXPECT_EQ(again.numbers, kept.numbers) << static_cast<int>(recompute);
        EXPECT_EQ(again.counted, kept.counted) << static_cast<int>(recompute);
        EXPECT_TRUE(again.routing == kept.routing) << static_cast<int>(recompute);
        const bool more = recompute == Recompute::kLayer && ranks > 1;
        EXPECT_EQ(again.bytes > kept.bytes, more) << "a layer's exchanges happen again, and are counted";
      }
    });
  }
}

TEST(RecomputeOnRanks, BitsAreThoseOfKeepingAll) { expect_same_bits(tiny_config()); }

TEST(RecomputeOnRanks, AndWithAllThatARouterDrawsRemembersOrMoves) { expect_same_bits(all_routing()); }

TEST(RecomputeOnRanks, AndInTheAuthorsWiringWithPartialSums) { expect_same_bits(authors_wiring()); }

TEST(RecomputeOnRanks, AndWithReMoE) { expect_same_bits(remoe()); }

// A routing that is recorded runs as one chunk, when it is computed again too.
TEST(RecomputeOnRanks, AndInChunks) {
  Config config = tiny_config();
  config.exchange.chunks = 2;
  expect_same_bits(config);
  on_ranks(2, [&](Transport& world) {
    const std::vector<double> kept = train(config, Recompute::kNone, world, false).numbers;
    EXPECT_EQ(train(config, Recompute::kLayer, world, false).numbers, kept);
  });
}

TEST(RecomputeOnRanks, AndWithReplicas) {
  Config config = all_routing();
  config.distributed.expert_parallel = 2;
  on_ranks(4, [&](Transport& world) {
    const Trace kept = train(config, Recompute::kNone, world);
    for (const Recompute recompute : {Recompute::kAttention, Recompute::kLayer}) {
      EXPECT_EQ(train(config, recompute, world).numbers, kept.numbers);
    }
  });
}

}  // namespace
}  // namespace coe
