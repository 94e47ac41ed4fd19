#include "launcher/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

TEST(Command, HelpListsTheVerbs) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* verb : {"config", "train", "eval", "generate", "compare", "plot", "inspect", "verify", "bench"})
    EXPECT_THAT(outcome.out, HasSubstr(verb));
}

TEST(Command, VersionIsTheProjects) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, ::testing::MatchesRegex("coe [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Command, EveryVerbHasHelp) {
  const Scratch scratch;
  for (const char* verb : {"config", "train", "eval", "generate", "compare", "plot", "inspect", "verify", "bench"}) {
    const Outcome outcome = run_program(scratch, {verb, "--help"});
    EXPECT_EQ(outcome.code, 0) << verb;
    EXPECT_THAT(outcome.out, HasSubstr(std::string("usage: coe ") + verb));
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Command, AMissingOrUnknownVerbIsBadInput) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{}, {"trian"}}) {
    try {
      run_command(arguments);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("there are config, train"));
    }
  }
}

}  // namespace
}  // namespace coe
