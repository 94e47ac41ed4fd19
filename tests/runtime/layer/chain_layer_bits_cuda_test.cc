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
