#include <set>
#include <string>
#include <string_view>

#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/ranks.h"
#include "tests/runtime/layer/chain_cases.h"
#include "tests/runtime/layer/chain_on_device.h"

namespace coe {
namespace {

class ChainLayerBitsCuda : public OnCuda, public testing::WithParamInterface<DeviceChain> {
 protected:
  void SetUp() override {
    OnCuda::SetUp();
    if (GetParam().reach == DeviceReach::kNccl && !nccl_connects(7)) GTEST_SKIP() << kNoNccl;
  }
};

/// Those in which a device has most to do, and what a router, a residual and a capacity can do to rows.
std::vector<NamedLayer> some_layers() {
  const std::set<std::string_view> wanted = {
      "outer residual",       "iteration norm",     "relu router",   "batch balance",
      "rerouted by position", "padded to capacity", "shared expert", "capacity by probability, normalised weights"};
  std::vector<NamedLayer> layers = layers_of(8, 6, 7);
  std::erase_if(layers, [&](const NamedLayer& named) { return !wanted.contains(named.name); });
  EXPECT_EQ(layers.size(), wanted.size());
  return layers;
}

ChainResult result_of(const ChainCase& chain, const DeviceChain& way, int ranks) {
  ChainResult first;
  on_ranks(ranks, [&](Transport& world) {
    const ChainResult mine = ChainOnDevice(chain, world, way).run();
    if (world.rank() == 0) first = mine;
  });
  return first;
}

TEST_P(ChainLayerBitsCuda, DoNotDependOnWhoHoldsWhichExpert) {
  DeviceChain way = GetParam();
  way.shuffled = true;
  for (const NamedLayer& named : some_layers()) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 3);  // of 7 ranks two have no tokens
    const ChainResult contiguous = result_of(chain, {}, 1);
    for (const int ranks : {1, 2, 3, 4, 7}) {
      SCOPED_TRACE(ranks);
      expect_same_bits(result_of(chain, way, ranks), contiguous);
    }
  }
}

// 9 are more than any rank has sequences, and a rank may have none.
TEST_P(ChainLayerBitsCuda, StayWithChunksAndExpertGradientsToOneMillionth) {
  for (const NamedLayer& named : some_layers()) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 5, 3);
    const ChainResult whole = result_of(chain, {}, 1);
    for (const auto& [ranks, chunks] : {std::pair{1, 2}, {2, 2}, {2, 9}, {7, 3}}) {
      SCOPED_TRACE(testing::Message() << ranks << " ranks, " << chunks << " chunks");
      DeviceChain way = GetParam();
      way.chunks = chunks;
      const ChainResult result = result_of(chain, way, ranks);
      EXPECT_EQ(result.y, whole.y);
      EXPECT_EQ(result.dx, whole.dx);
      expect_near(result.expert_gradients, widened(whole.expert_gradients), "expert gradients", 1e-6);
      expect_near(result.replicated_gradients, widened(whole.replicated_gradients), "replicated gradients", 1e-6);
      EXPECT_NEAR(result.balance, whole.balance, 1e-9);
      for (std::size_t t = 0; t < whole.counters.size(); ++t) {
        EXPECT_EQ(result.counters[t].load, whole.counters[t].load);
        EXPECT_EQ(result.counters[t].dropped, whole.counters[t].dropped);
      }
    }
  }
}

TEST_P(ChainLayerBitsCuda, AreTheSameWithoutABackwardAndInBuffersMadeBefore) {
  DeviceChain way = GetParam();
  way.chunks = 2;
  for (const NamedLayer& named : some_layers()) {
    SCOPED_TRACE(named.name);
    const ChainCase chain = random_chain_case(named.layer, 14, 3);
    const ChainResult whole = result_of(chain, {}, 1);
    on_ranks(3, [&](Transport& world) {
      ChainOnDevice on_device(chain, world, way);
      for (const std::vector<float>& y : on_device.run_forward_twice()) EXPECT_EQ(y, whole.y);
      EXPECT_EQ(on_device.growths(), 0);
    });
  }
}

// Balance losses count over all replicas and all chunks.
TEST_P(ChainLayerBitsCuda, AreTheSameForReplicasInChunks) {
  DeviceChain way = GetParam();
  way.chunks = 2;
  way.expert_parallel = 2;
  way.shuffled = true;
  const ChainCase chain = random_chain_case({.hidden = 8,
                                             .expert_hidden = 6,
                                             .experts = 7,
                                             .top_k = 2,
                                             .iterations = 2,
                                             .balance_loss = BalanceLoss::kBatch,
                                             .balance_loss_coeff = 0.5F},
                                            9, 3);
  const ChainResult whole = result_of(chain, {}, 1), result = result_of(chain, way, 4);
  EXPECT_EQ(result.y, whole.y);
  EXPECT_EQ(result.dx, whole.dx);
  expect_near(result.expert_gradients, widened(whole.expert_gradients), "expert gradients", 1e-6);
  expect_near(result.replicated_gradients, widened(whole.replicated_gradients), "replicated gradients", 1e-6);
  EXPECT_NEAR(result.balance, whole.balance, 1e-9);
}

std::string name_of(const testing::TestParamInfo<DeviceChain>& way) {
  const bool padded = way.param.sizes == MessageSizes::kPadded;
  const std::string reach = way.param.reach == DeviceReach::kMapped ? "Mapped"
                            : way.param.reach == DeviceReach::kNccl ? "Nccl"
                                                                    : "Host";
  return reach + (padded ? "Padded" : "");
}

INSTANTIATE_TEST_SUITE_P(Ways, ChainLayerBitsCuda,
                         testing::Values(DeviceChain{.reach = DeviceReach::kMapped},
                                         DeviceChain{.reach = DeviceReach::kHost},
                                         DeviceChain{.reach = DeviceReach::kHost, .sizes = MessageSizes::kPadded},
                                         DeviceChain{.reach = DeviceReach::kNccl},
                                         DeviceChain{.reach = DeviceReach::kNccl, .sizes = MessageSizes::kPadded}),
                         name_of);

}  // namespace
}  // namespace coe
