#include "kernels/memory/build.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(Build, SaysWhatResultsMayDependOn) {
  EXPECT_THAT(std::string(build().version), testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_FALSE(build().type.empty());
  EXPECT_FALSE(build().instructions.empty());
}

/// What was compiled for a machine runs on it: its instructions are at most the processor's.
TEST(Build, TheProcessorHasTheInstructions) {
  const auto level = [](const std::string& name) { return name.substr(0, name.find(' ')); };
  if (!build().processor.starts_with("x86-64")) GTEST_SKIP() << "names of other processors have no order";
  EXPECT_LE(level(build().instructions), level(build().processor));
}

}  // namespace
}  // namespace coe
