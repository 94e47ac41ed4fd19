#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Generate : public ::testing::Test {
 protected:
  Generate() {
    scratch_.write("config.toml", kTinyConfig);
    const Outcome outcome = run_program(scratch_, {"train", "config.toml"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
  }

  Outcome generate(const std::vector<std::string>& more, int ranks = 0) const {
    std::vector<std::string> arguments = {"generate", "config.toml", "--checkpoint", "run", "--tokens", "40"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(scratch_, arguments, ranks);
  }

  Scratch scratch_;
};

TEST_F(Generate, GoesOnFromThePromptBeyondOneSequence) {
  const Outcome outcome = generate({"--prompt", "Two and two"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("Two and two"));
  EXPECT_EQ(outcome.out.size(), std::string("Two and two").size() + 40 + 1);
}

TEST_F(Generate, TheSameSeedSaysTheSameAtAnyNumberOfRanks) {
  const std::string alone = generate({"--prompt", "x", "--seed", "7"}).out;
  EXPECT_EQ(generate({"--prompt", "x", "--seed", "7"}, 2).out, alone);
  EXPECT_NE(generate({"--prompt", "x", "--seed", "8"}).out, alone);
}

TEST_F(Generate, WhatMakesNoSenseIsRefused) {
  EXPECT_THAT(generate({"--prompt", ""}).err, HasSubstr("--prompt"));
  EXPECT_THAT(generate({"--prompt", "x", "--temperature", "-1"}).err, HasSubstr("--temperature is -1"));
  EXPECT_EQ(generate({}).code, 2);
}

}  // namespace
}  // namespace coe
