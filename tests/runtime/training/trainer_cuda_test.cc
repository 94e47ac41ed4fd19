#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "comm/make_transport.h"
#include "runtime/training/trainer.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/training/two_layer_config.h"

namespace coe {
namespace {

Config small_config() {
  Config config = two_layer_config(16, 8);
  config.training.micro_batch = 4;
  config.training.learning_rate = 1e-2F;
  return config;
}

Config all_routing() {
  Config config = with_all_routing(small_config());
  config.model.layer.router_bias_rate = 0.1F;
  config.training.recompute = Recompute::kLayer;
  return config;
}

Config authors_wiring() {
  Config config = small_config();
  config.model.residual_stream = ResidualStream::kAuthors;
  config.model.layer.shared_experts = 1;
  config.model.layer.residual = Residual::kOuter;
  config.training.recompute = Recompute::kAttention;
  config.data.documents = Documents::kSeparate;
  return config;
}

Config remoe() {
  Config config = small_config();
  config.model.layer.router = RouterKind::kRelu;
  config.model.layer.balance_loss = BalanceLoss::kNone;
  config.model.layer.balance_loss_coeff = 0;
  config.model.layer.l1_coeff = 1e-3F;
  return config;
}

Config dense() {
  Config config = small_config();
  config.model.layer.experts = config.model.layer.top_k = config.model.layer.iterations = 1;
  config.model.layer.balance_loss = BalanceLoss::kNone;
  config.model.layer.balance_loss_coeff = 0;
  config.training.decay = Decay::kMatrices;
  return config;
}

Config on(Device::Kind device, Config config, Precision dtype = Precision::kF32) {
  config.training.device = device;
  config.training.dtype = dtype;
  return config;
}

struct Curve {
  std::vector<double> losses, norms;
  std::vector<std::int64_t> counted;  ///< of the first step: loads, dropped, rerouted
  double validation = 0;
};

/// Calls work(trainer) on every rank.
void with_trainer(const Config& config, Transport& world, const std::function<void(Trainer&)>& work,
                  const std::vector<Placement>& placements = {}) {
  const auto open = [&](Split split) {
    return make_token_source(config.data, split, config.model.sequence, config.model.vocab, config.training.seed);
  };
  const auto training = open(Split::kTrain), validation = open(Split::kValidation);
  Trainer trainer(config, world, *training, *validation, nullptr, placements);
  work(trainer);
}

void go_on(Trainer& trainer, int steps, Curve& curve) {
  for (int step = 0; step < steps; ++step) {
    const StepReport report = trainer.step();
    curve.losses.push_back(report.loss);
    curve.norms.push_back(report.gradient_norm);
    for (const RoutingReport& one : report.routing) {
      if (report.step > 1) break;
      curve.counted.insert(curve.counted.end(), one.load.begin(), one.load.end());
      curve.counted.insert(curve.counted.end(), {one.tokens, one.dropped, one.rerouted});
    }
  }
  curve.validation = trainer.validate();
}

Curve train(const Config& config, int ranks = 1, int steps = 5, const std::vector<Placement>& placements = {}) {
  Curve curve;
  run_local_ranks(ranks, [&](Transport& world) {
    const auto work = [&](Trainer& trainer) {
      Curve mine;
      go_on(trainer, steps, mine);
      if (world.rank() == 0) curve = mine;
    };
    with_trainer(config, world, work, placements);
  });
  return curve;
}

/// Of two steps.
RoutingRecord record_of(const Config& config, int ranks) {
  RoutingRecord record;
  run_local_ranks(ranks, [&](Transport& world) {
    RoutingCounter counter(empty_routing_record(config.model));
    with_trainer(config, world, [&](Trainer& trainer) {
      trainer.record_routing(counter);
      for (int step = 0; step < 2; ++step) trainer.step();
    });
    const RoutingRecord sum = counter.sum({&world});
    if (world.rank() == 0) record = sum;
  });
  return record;
}

void expect_near(const Curve& got, const Curve& wanted, double allowed) {
  ASSERT_EQ(got.losses.size(), wanted.losses.size());
  for (std::size_t i = 0; i < wanted.losses.size(); ++i) {
    EXPECT_NEAR(got.losses[i], wanted.losses[i], allowed * wanted.losses[i]) << "step " << i + 1;
    EXPECT_NEAR(got.norms[i], wanted.norms[i], 10 * allowed * wanted.norms[i]) << "step " << i + 1;
  }
  EXPECT_NEAR(got.validation, wanted.validation, allowed * wanted.validation);
}

using TrainerCuda = OnCuda;

TEST_F(TrainerCuda, StepsAreThoseOfTheCpu) {
  for (const Config& config : {small_config(), all_routing(), authors_wiring(), remoe(), dense()}) {
    SCOPED_TRACE(model_name(config.model.layer));
    const Curve wanted = train(config);
    const Curve got = train(on(Device::Kind::kCuda, config));
    expect_near(got, wanted, 1e-4);
    EXPECT_EQ(got.counted, wanted.counted);
  }
}

TEST_F(TrainerCuda, StepsInBf16AreNearThoseOfTheCpu) {
  for (const Config& config : {small_config(), authors_wiring(), dense()}) {
    SCOPED_TRACE(model_name(config.model.layer));
    expect_near(train(on(Device::Kind::kCuda, config, Precision::kBF16)), train(config), 1e-2);
  }
}

TEST_F(TrainerCuda, RanksThatShareTheDeviceTrainAsOne) {
  const Config config = on(Device::Kind::kCuda, small_config());
  const Curve wanted = train(config, 1, 3);
  for (const int ranks : {2, 3}) expect_near(train(config, ranks, 3), wanted, 1e-5);
}

TEST_F(TrainerCuda, RanksThatSendMessagesTrainAsOne) {
  Config config = on(Device::Kind::kCuda, all_routing());
  const Curve wanted = train(config, 1, 3);
  for (const auto& [reach, sizes] :
       {std::pair(DeviceReach::kHost, MessageSizes::kHost), std::pair(DeviceReach::kNccl, MessageSizes::kHost),
        std::pair(DeviceReach::kNccl, MessageSizes::kPadded)}) {
    if (reach == DeviceReach::kNccl && !nccl_connects(3)) GTEST_SKIP() << kNoNccl;
    config.exchange.devices = reach;
    config.exchange.sizes = sizes;
    expect_near(train(config, 3, 3), wanted, 1e-5);
  }
}

TEST_F(TrainerCuda, MessagesPaddedToTheCapacityOfARankTrainAsMappedMemory) {
  if (!nccl_connects(2)) GTEST_SKIP() << kNoNccl;
  Config config = on(Device::Kind::kCuda, all_routing());
  config.model.layer.capacity_scope = CapacityScope::kRank;
  config.exchange.devices = DeviceReach::kMapped;
  const Curve wanted = train(config, 2, 2);
  config.exchange.devices = DeviceReach::kNccl;
  config.exchange.sizes = MessageSizes::kPadded;
  expect_near(train(config, 2, 2), wanted, 1e-6);
}

TEST_F(TrainerCuda, ReplicasOfExpertsTrainAsOne) {
  Config config = on(Device::Kind::kCuda, small_config());
  config.model.layer.balance_loss = BalanceLoss::kBatch;  // which counts over all of them
  const Curve wanted = train(config, 1, 3);
  config.distributed.expert_parallel = 2;
  for (const DeviceReach reach : {DeviceReach::kMapped, DeviceReach::kHost, DeviceReach::kNccl}) {
    if (reach == DeviceReach::kNccl && !nccl_connects(4)) GTEST_SKIP() << kNoNccl;
    config.exchange.devices = reach;
    expect_near(train(config, 4, 3), wanted, 1e-5);
  }
}

TEST_F(TrainerCuda, LayersThatPlaceTheirExpertsApartTrainToTheSameBits) {
  Config config = on(Device::Kind::kCuda, small_config());
  config.training.clip = 0;  // its norm is added up in the order in which experts lie
  const std::vector<Placement> placements = {shuffled_placement(8, 3, 1), shuffled_placement(8, 3, 2)};
  for (const DeviceReach reach : {DeviceReach::kMapped, DeviceReach::kNccl}) {
    if (reach == DeviceReach::kNccl && !nccl_connects(3)) GTEST_SKIP() << kNoNccl;
    config.exchange.devices = reach;
    const Curve wanted = train(config, 3, 2), got = train(config, 3, 2, placements);
    EXPECT_EQ(got.losses, wanted.losses);
    EXPECT_EQ(got.validation, wanted.validation);
    EXPECT_EQ(got.counted, wanted.counted);
  }
}

TEST_F(TrainerCuda, ChunksTrainAsOne) {
  for (Config config : {small_config(), authors_wiring(), remoe()}) {
    SCOPED_TRACE(model_name(config.model.layer));
    config = on(Device::Kind::kCuda, config);
    const Curve wanted = train(config, 1, 2);
    config.exchange.chunks = 2;
    for (const DeviceReach reach : {DeviceReach::kMapped, DeviceReach::kNccl}) {
      if (reach == DeviceReach::kNccl && !nccl_connects(2)) GTEST_SKIP() << kNoNccl;
      config.exchange.devices = reach;
      const Curve got = train(config, 2, 2);
      expect_near(got, wanted, 1e-5);
      EXPECT_EQ(got.counted, wanted.counted);
    }
  }
}

TEST_F(TrainerCuda, TheRecordOfItsRoutingIsTheCpus) {
  for (Config config : {small_config(), remoe(), all_routing()}) {
    SCOPED_TRACE(model_name(config.model.layer));
    const RoutingRecord wanted = record_of(config, 1);
    config = on(Device::Kind::kCuda, config);
    config.exchange.chunks = 2;  // of which there is one while routing is recorded
    for (const int ranks : {1, 2}) EXPECT_EQ(record_of(config, ranks), wanted) << ranks << " ranks";
  }
}

void expect_same(const Curve& got, const Curve& wanted) {
  EXPECT_EQ(got.losses, wanted.losses);
  EXPECT_EQ(got.norms, wanted.norms);
  EXPECT_EQ(got.validation, wanted.validation);
}

TEST_F(TrainerCuda, StateInPiecesTrainsBitForBitAsStateOfTheWhole) {
  for (const auto& [reach, dtype, expert_parallel] :
       {std::tuple(DeviceReach::kMapped, Precision::kBF16, 2), std::tuple(DeviceReach::kMapped, Precision::kF32, 0),
        std::tuple(DeviceReach::kHost, Precision::kBF16, 0), std::tuple(DeviceReach::kNccl, Precision::kBF16, 2)}) {
    const int ranks = expert_parallel == 0 ? 2 : 4;
    if (reach == DeviceReach::kNccl && !nccl_connects(ranks)) GTEST_SKIP() << kNoNccl;
    SCOPED_TRACE(std::to_string(static_cast<int>(reach)) + " " + std::to_string(static_cast<int>(dtype)));
    Config whole = on(Device::Kind::kCuda, small_config(), dtype);
    whole.exchange.devices = reach;
    whole.distributed.expert_parallel = expert_parallel;
    Config pieces = whole;
    pieces.training.shard_optimiser = true;
    expect_same(train(pieces, ranks, 2), train(whole, ranks, 2));
  }
}

/// A step on each device by turns, with state in pieces or not, by checkpoints.
Curve by_turns(const Config& config, const std::vector<std::pair<Device::Kind, bool>>& turns, Precision dtype) {
  const auto directory = std::filesystem::path(testing::TempDir()) / ("coe_pieces_" + std::to_string(getpid()));
  Curve curve;
  for (const auto& [device, shards] : turns) {
    Config own = on(device, config, device == Device::Kind::kCpu ? Precision::kF32 : dtype);
    own.output.directory = directory;
    own.training.shard_optimiser = shards;
    run_local_ranks(2, [&](Transport& world) {
      with_trainer(own, world, [&](Trainer& trainer) {
        Curve mine;
        trainer.resume();
        go_on(trainer, 1, mine);
        trainer.save();
        if (world.rank() > 0) return;
        curve.losses.insert(curve.losses.end(), mine.losses.begin(), mine.losses.end());
        curve.norms.insert(curve.norms.end(), mine.norms.begin(), mine.norms.end());
        curve.validation = mine.validation;
      });
    });
  }
  std::filesystem::remove_all(directory);
  return curve;
}

TEST_F(TrainerCuda, CheckpointsOfPiecesAndOfTheWholeAreTheSame) {
  using enum Device::Kind;
  const Precision dtype = Precision::kBF16;
  const Curve whole = by_turns(small_config(), {{kCuda, false}, {kCpu, false}, {kCuda, false}}, dtype);
  expect_same(by_turns(small_config(), {{kCuda, true}, {kCpu, true}, {kCuda, true}}, dtype), whole);
  expect_same(by_turns(small_config(), {{kCuda, true}, {kCpu, false}, {kCuda, true}}, dtype), whole);
}

TEST_F(TrainerCuda, AStepThatFindsNoRoomIsDoneAgainToTheSameBits) {
  Config roomy = on(Device::Kind::kCuda, small_config());
  roomy.exchange.row_slack = 0;
  Config tight = roomy;
  tight.exchange.row_slack = 0.5;  // less than an even share: the first step overflows, and the next one does not
  const Curve wanted = train(roomy, 3, 2), got = train(tight, 3, 2);
  expect_same(got, wanted);
  EXPECT_EQ(got.counted, wanted.counted);
}

TEST_F(TrainerCuda, AGraphTrainsBitForBitAsLaunchesDo) {
  for (const auto& [config, dtype] : {std::pair(small_config(), Precision::kBF16),
                                      {all_routing(), Precision::kF32},
                                      {authors_wiring(), Precision::kF32},
                                      {remoe(), Precision::kF32}}) {
    SCOPED_TRACE(model_name(config.model.layer));
    const Config launched = on(Device::Kind::kCuda, config, dtype);
    Config replayed = launched;
    replayed.training.graph = true;
    expect_same(train(replayed, 1, 3), train(launched, 1, 3));
  }
}

TEST_F(TrainerCuda, AllMicroBatchesAfterTheFirstAreReplayed) {
  Config config = on(Device::Kind::kCuda, remoe());
  config.training.graph = true;
  run_local_ranks(1, [&](Transport& world) {
    with_trainer(config, world, [&](Trainer& trainer) {
      const std::int64_t first = trainer.step().replays;
      trainer.validate();
      EXPECT_EQ(trainer.step().replays, first + config.training.batch / config.training.micro_batch);
    });
  });
}

TEST_F(TrainerCuda, CheckpointsGoOnOnTheOtherDevice) {
  const Curve wanted = train(small_config(), 1, 4);
  for (const Device::Kind first : {Device::Kind::kCpu, Device::Kind::kCuda}) {
    const auto directory = std::filesystem::path(testing::TempDir()) / ("coe_cuda_" + std::to_string(getpid()));
    Config config = small_config();
    config.output.directory = directory;
    const Device::Kind second = first == Device::Kind::kCpu ? Device::Kind::kCuda : Device::Kind::kCpu;
    Curve curve;
    run_local_ranks(1, [&](Transport& world) {
      with_trainer(on(first, config), world, [&](Trainer& trainer) {
        go_on(trainer, 2, curve);
        trainer.save();
      });
      with_trainer(on(second, config), world, [&](Trainer& trainer) {
        ASSERT_TRUE(trainer.resume().has_value());
        go_on(trainer, 2, curve);
      });
    });
    expect_near(curve, wanted, 1e-4);
    std::filesystem::remove_all(directory);
  }
}

TEST_F(TrainerCuda, AWeightThatIsNotFiniteIsNamed) {
  Config config = on(Device::Kind::kCuda, small_config());
  config.training.learning_rate = std::numeric_limits<float>::max();
  run_local_ranks(1, [&](Transport& world) {
    with_trainer(config, world, [&](Trainer& trainer) {
      try {
        for (int step = 0; step < 4; ++step) trainer.step();
        FAIL() << "nothing was found";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNonFinite);
        EXPECT_THAT(error.what(), testing::HasSubstr("is not finite (rank 0"));
      }
    });
  });
}

}  // namespace
}  // namespace coe
