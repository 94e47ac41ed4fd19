#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "comm/launch.h"
#include "comm/make_transport.h"
#include "tests/ranks.h"

namespace {

/// Prints what fails on this rank, and nothing else: rank 0 prints the results.
class FailurePrinter : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, result.file_name() != nullptr ? result.file_name() : "?",
                 result.line_number(), result.message());
  }
  int rank_;
};

int run_on_processes() {
  const std::unique_ptr<coe::Transport> world = coe::make_transport("mpi");
  // Every process must shuffle alike; the default seed is the time.
  if (GTEST_FLAG_GET(random_seed) == 0) GTEST_FLAG_SET(random_seed, 1);
  if (world->rank() != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    const std::unique_ptr<testing::TestEventListener> silenced(listeners.Release(listeners.default_result_printer()));
    listeners.Append(std::make_unique<FailurePrinter>(world->rank()).release());
  }
  coe::lend_world(world.get());
  const int result = RUN_ALL_TESTS();
  coe::lend_world(nullptr);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  return coe::launched_by_mpi() ? run_on_processes() : RUN_ALL_TESTS();
}
