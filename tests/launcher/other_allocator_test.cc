#include <gtest/gtest.h>

#include "tests/launcher/program.h"

namespace coe {
namespace {

/// jemalloc or tcmalloc preloaded; tests/other_allocator.cc stands for them.
TEST(OtherAllocator, EveryProgramBearsAPreloadedOne) {
  const Scratch scratch;
  const std::map<std::string, std::string> preload = {{"LD_PRELOAD", COE_OTHER_ALLOCATOR}};
  EXPECT_EQ(Program(scratch, {"--version"}, 0, preload).wait().code, 0);
  const Outcome bench = Program(scratch, {"bench", "gate", "--help"}, 0, preload).wait();
  EXPECT_EQ(bench.code, 0) << bench.err;
}

}  // namespace
}  // namespace coe
