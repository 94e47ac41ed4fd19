#include "launcher/pinning.h"

#include <gtest/gtest.h>

#include "comm/local_transport.h"
#include "runtime/layer/thread_team.h"
#include "tests/thread_sanitizer.h"

namespace coe {
namespace {

TEST(Pinning, EveryThreadOfATeamHasItsProcessorUntilTheEnd) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  SKIP_UNDER_THREAD_SANITIZER();
  const Topology topology;
  const std::vector<int> before = topology.binding();
  const std::vector<int> processors = {before.back(), before.front()};
  {
    const PinnedTeam team(&topology, processors, 2);
    on_threads(2, [&](int thread) {
      EXPECT_EQ(topology.binding(), std::vector<int>{processors[static_cast<std::size_t>(thread)]});
    });
  }
  on_threads(2, [&](int /*thread*/) { EXPECT_EQ(topology.binding(), before); });
}

TEST(Pinning, OneThreadIsLeftAsItIs) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  const std::vector<int> before = Topology().binding();
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const PinnedTeam team = Pinning(1).pin(*alone);
  EXPECT_EQ(Topology().binding(), before);
}

TEST(Pinning, MoreThreadsThanProcessorsMakeASmallerTeamAndOneLineSaysSo) {
  if (!topology_known()) GTEST_SKIP() << "this build has no hwloc";
  SKIP_UNDER_THREAD_SANITIZER();
  const Topology topology;
  const std::vector<int> before = topology.binding();
  const std::unique_ptr<Transport> alone = make_lone_transport();
  const int processors = static_cast<int>(before.size()), threads = processors + 1;
  const Pinning pinning(threads);
  testing::internal::CaptureStderr();
  const PinnedTeam team = pinning.pin(*alone);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("coe: rank 0 is to have " + std::to_string(threads) + " threads, and has "), 0U) << said;
  EXPECT_NE(said.find(" of its own: it works with " + std::to_string(processors) + "\n"), std::string::npos) << said;
  EXPECT_EQ(team.threads(), processors);
}

}  // namespace
}  // namespace coe
