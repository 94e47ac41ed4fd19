#include "launcher/report/run_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

using testing::ElementsAre;

TEST(RunNames, ModelsThatDifferNeedNoFolder) {
  EXPECT_THAT(run_names(std::vector<std::string>{"MoE(8/64)", "CoE-2(4/64)"},
                        std::vector<std::filesystem::path>{"runs/a", "runs/b"}),
              ElementsAre("MoE(8/64)", "CoE-2(4/64)"));
}

TEST(RunNames, RunsOfOneModelAreToldApartByTheirFolders) {
  EXPECT_THAT(run_names(std::vector<std::string>{"MoE", "dense", "MoE"},
                        std::vector<std::filesystem::path>{"runs/seed1", "runs/dense", "runs/seed2/"}),
              ElementsAre("MoE seed1", "dense", "MoE seed2"));
}

TEST(RunNames, FoldersOfOneNameTakeThoseAbove) {
  EXPECT_THAT(run_names(std::vector<std::string>{"MoE", "MoE", "MoE"},
                        std::vector<std::filesystem::path>{"gsm8k/a/run", "text/a/run", "text/b/../c/run"}),
              ElementsAre("MoE gsm8k/a/run", "MoE text/a/run", "MoE text/c/run"));
}

TEST(RunNames, OneRunTwiceHasOneName) {
  const auto names = run_names(std::vector<std::string>{"MoE", "MoE"}, std::vector<std::filesystem::path>{"a", "./a"});
  EXPECT_EQ(names[0], names[1]);
}

TEST(RunNames, LineFeedsDoNotGetIntoATable) {
  EXPECT_THAT(run_names(std::vector<std::string>{"MoE", "MoE"}, std::vector<std::filesystem::path>{"a\nb", "c"}),
              ElementsAre("MoE a?b", "MoE c"));
}

}  // namespace
}  // namespace coe
