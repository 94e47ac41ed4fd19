#include "comm/topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace coe {
namespace {

TEST(Topology, EveryProcessorBelongsToOneCore) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  const Topology topology;
  std::vector<int> all;
  for (const std::vector<int>& core : topology.cores()) {
    EXPECT_FALSE(core.empty());
    all.insert(all.end(), core.begin(), core.end());
  }
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
  for (const int processor : topology.binding()) EXPECT_TRUE(std::ranges::binary_search(all, processor)) << processor;
}

TEST(Topology, BindsTheCallingThreadAlone) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  const Topology topology;
  const std::vector<int> before = topology.binding();
  std::thread([&] {
    const std::vector<int> last = {before.back()};
    topology.bind(last);
    EXPECT_EQ(topology.binding(), last);
  }).join();
  EXPECT_EQ(topology.binding(), before);
}

}  // namespace
}  // namespace coe
