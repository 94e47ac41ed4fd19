#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "runtime/config/config.h"
#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

TEST(PrintedConfig, ReadsBackAsTheConfigThatItPrints) {
  const Scratch scratch;
  const std::filesystem::path file = scratch.write("config.toml", kTinyConfig);
  const Outcome outcome = run_program(
      scratch, {"config", "config.toml", "--set", "training.steps=9", "--data", "a b.txt", "--threads", "3"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\nsteps = 9 "));
  EXPECT_THAT(outcome.out, HasSubstr("\ntrain = \"a b.txt\" "));
  Config config = read_config(file, std::vector<std::string>{"training.steps=9", "data.train=a b.txt"});
  config.distributed.threads = 3;
  EXPECT_EQ(parse_config(outcome.out, "printed"), config);
}

TEST(PrintedConfig, KeysNeedNoConfig) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"config", "--keys"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const ConfigEntry& entry : entries_of({})) {
    const std::string line = "\n" + entry.key.substr(entry.key.find('.') + 1) + " = " + entry.value + " ";
    EXPECT_THAT(outcome.out, HasSubstr(line));
  }
}

TEST(PrintedConfig, BadInputIsOneLineAndCode2) {
  const Scratch scratch;
  scratch.write("config.toml", kTinyConfig);
  const std::vector<std::pair<std::vector<std::string>, std::string>> refusals = {
      {{"config"}, "usage: coe config CONFIG"},
      {{"config", "--keys", "config.toml"}, "--keys stands alone"},
      {{"config", "nowhere.toml"}, "nowhere.toml"},
      {{"config", "config.toml", "--set", "layer.topk=1"}, "did you mean layer.top_k?"},
      {{"config", "config.toml", "--set", "training.clip=-1"}, "must be a finite number from 0"}};
  for (const auto& [arguments, named] : refusals) {
    const Outcome outcome = run_program(scratch, arguments);
    EXPECT_EQ(outcome.code, 2) << named;
    EXPECT_EQ(outcome.out, "") << named;
    EXPECT_THAT(outcome.err, HasSubstr(named));
    EXPECT_EQ(std::ranges::count(outcome.err, '\n'), 1) << outcome.err;
  }
}

}  // namespace
}  // namespace coe
