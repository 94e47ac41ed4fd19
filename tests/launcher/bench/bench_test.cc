#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "kernels/memory/device.h"
#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kSmall = {"bench",     "layer", "--tokens", "32", "--sequence",      "16",
                                         "--hidden",  "16",    "--steps",  "1",  "--expert-hidden", "8",
                                         "--experts", "4",     "--top-k",  "2"};

TEST(Bench, PrintsAndWritesTheNumbers) {
  const Scratch scratch;
  std::vector<std::string> arguments = kSmall;
  arguments.insert(arguments.end(), {"--json", "numbers.json"});
  const Outcome outcome = run_program(scratch, arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("layer of CoE-2(2/4), 1 ranks x 32 tokens"));
  const auto numbers = boost::json::parse(read_text(scratch / "numbers.json")).as_object();
  for (const char* key : {"step_ms", "gflops", "gemm_peak_gflops", "peak_fraction", "our_allocations_per_step",
                          "memory_growth_bytes", "minor_faults_per_step", "bytes_exchanged"}) {
    EXPECT_TRUE(numbers.contains(key)) << key;
  }
}

TEST(Bench, EachPartWritesAFractionOfItsBound) {
  const std::vector<std::pair<std::string, std::string>> fractions = {
      {"exchange", "bound_fraction"}, {"experts", "peak_fraction"}, {"gate", "bound_fraction"}};
  for (const auto& [what, fraction] : fractions) {
    const Scratch scratch;
    std::vector<std::string> arguments = {"bench", what,      "--workload", "w3",     "--hidden",
                                          "16",    "--steps", "1",          "--json", "numbers.json"};
    const Outcome outcome = run_program(scratch, arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const auto numbers = boost::json::parse(read_text(scratch / "numbers.json")).as_object();
    EXPECT_EQ(numbers.at("benchmark").as_string(), what);
    EXPECT_GT(numbers.at(fraction).to_number<double>(), 0) << what;
  }
}

TEST(Bench, RefusesWhatMeansNothingInOneLine) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"bench", "gate", "--skew", "1"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

TEST(Bench, WithoutADeviceNothingIsWritten) {
  if (cuda_devices() > 0) GTEST_SKIP() << "there is a CUDA device";
  for (const char* what : {"layer", "experts"}) {
    const Scratch scratch;
    const Outcome outcome = run_program(scratch, {"bench", what, "--device", "cuda", "--json", "numbers.json"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("no CUDA device can be used here"));
    EXPECT_FALSE(std::filesystem::exists(scratch / "numbers.json"));
  }
}

TEST(Bench, RefusesAFileThatCannotBeWrittenBeforeItMeasures) {
  const Scratch scratch;
  std::vector<std::string> arguments = kSmall;
  arguments.insert(arguments.end(), {"--json", "nowhere/numbers.json"});
  const Outcome outcome = run_program(scratch, arguments);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "coe: bench: --json nowhere/numbers.json cannot be written\n");
}

}  // namespace
}  // namespace coe
