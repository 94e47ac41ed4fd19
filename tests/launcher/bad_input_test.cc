#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tests/launcher/program.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// One call that must be refused: arguments after `coe train config.toml`, and what the line must name.
struct Refusal {
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> named;
};

void PrintTo(const Refusal& refusal, std::ostream* stream) { *stream << refusal.name; }

const std::vector<Refusal>& refusals() {
  static const std::vector<Refusal> kRefusals = {
      {"UnknownKey", {"--set", "training.stepz=3"}, {"stepz", "steps"}},
      {"WrongType", {"--set", "training.steps=\"many\""}, {"training.steps", "many"}},
      {"TopKAboveExperts", {"--set", "layer.top_k=5"}, {"top_k", "5", "4"}},
      {"NoExperts", {"--set", "layer.experts=0"}, {"experts", "0"}},
      {"NegativeCapacity",
       {"--set", "layer.drop_policy=position", "--set", "layer.capacity_factor=-1"},
       {"capacity_factor", "-1"}},
      {"NegativeSteps", {"--set", "training.steps=-4"}, {"steps", "-4"}},
      {"SettingWithoutValue", {"--set", "training.steps"}, {"training.steps"}},
      {"UnknownOption", {"--resumee"}, {"--resumee"}},
      {"MissingData", {"--data", "nowhere.txt"}, {"nowhere.txt"}},
      {"EmptyData", {"--data", "empty.txt"}, {"empty.txt"}},
      {"ShortData", {"--data", "short.txt"}, {"short.txt", "33"}},
      {"DataIsAFolder", {"--data", "folder"}, {"folder"}},
      {"BrokenJsonl", {"--data", "broken.jsonl"}, {"broken.jsonl:2"}},
      {"OutIsAFile", {"--out", "short.txt"}, {"short.txt", "is no folder"}},
      {"OutCannotBeWritten", {"--out", "/proc/coe/run"}, {"/proc/coe/run"}},
      {"RunInTheWay", {"--out", "earlier"}, {"earlier", "--resume"}},
  };
  return kRefusals;
}

void write_inputs(const Scratch& scratch) {
  scratch.write("config.toml", kTinyConfig);
  scratch.write("empty.txt", "");
  scratch.write("short.txt", "too short");
  scratch.write("folder/file", "");
  scratch.write("broken.jsonl", "{\"question\": \"2 + 2?\", \"answer\": \"4\"}\n{\"question\":\n");
  scratch.write("earlier/config.toml", kTinyConfig);
}

std::set<std::string> files_of(const Scratch& scratch) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch.path()))
    names.insert(entry.path().string());
  return names;
}

class BadInput : public ::testing::TestWithParam<Refusal> {};

TEST_P(BadInput, IsOneLineExitCodeTwoAndNothingWritten) {
  const Scratch scratch;
  write_inputs(scratch);
  scratch.write("stdout.txt", "");
  scratch.write("stderr.txt", "");
  const auto before = files_of(scratch);

  std::vector<std::string> arguments = {"train", "config.toml"};
  arguments.insert(arguments.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const Outcome outcome = run_program(scratch, arguments);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::StartsWith("coe: "));
  for (const std::string& named : GetParam().named) EXPECT_THAT(outcome.err, HasSubstr(named));
  EXPECT_EQ(files_of(scratch), before);
  EXPECT_LT(outcome.seconds, 1.0);
}

INSTANTIATE_TEST_SUITE_P(Train, BadInput, ::testing::ValuesIn(refusals()),
                         [](const auto& refusal) { return refusal.param.name; });

TEST(BadInput, AMisspeltTomlNamesFileAndLine) {
  const Scratch scratch;
  scratch.write("config.toml", "[model]\nvocab = = 3\n");
  const Outcome outcome = run_program(scratch, {"train", "config.toml"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("config.toml:2"));
}

TEST(BadInput, UnderMpirunOneRankSpeaks) {
  const Scratch scratch;
  write_inputs(scratch);
  const Outcome outcome = run_program(scratch, {"train", "config.toml", "--set", "layer.experts=0"}, 3);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("experts"));
}

TEST(BadInput, RanksThatDoNotFitAreRefusedByOneRank) {
  const Scratch scratch;
  write_inputs(scratch);
  const Outcome outcome = run_program(scratch, {"train", "config.toml", "--set", "distributed.expert_parallel=2"}, 3);
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("expert_parallel"));
  EXPECT_FALSE(std::filesystem::exists(scratch / "run"));
}

}  // namespace
}  // namespace coe
