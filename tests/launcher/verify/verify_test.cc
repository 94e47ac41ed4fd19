#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kCase = std::string(COE_SOURCE_DIR) + "/tests/cases/coe-3x2of8-no-shared.safetensors";

TEST(Verify, SaysPassAndADigestThatDoesNotDependOnRanks) {
  const Scratch scratch;
  const Outcome one = run_program(scratch, {"verify", kCase});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, StartsWith("PASS coe-3x2of8-no-shared max_error="));
  const Outcome four = run_program(scratch, {"verify", kCase, "--transport", "local", "--ranks", "4"});
  const auto digest = [](const std::string& line) { return line.substr(line.find("digest=")); };
  EXPECT_EQ(digest(four.out), digest(one.out));
}

TEST(Verify, AMismatchIsExitCodeOne) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"verify", kCase, "--tolerance", "1e-12"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.out, StartsWith("FAIL coe-3x2of8-no-shared"));
}

TEST(Verify, BadInputIsExitCodeTwoBeforeAnyCaseRuns) {
  const Scratch scratch;
  scratch.write("broken.safetensors", "nothing");
  const Outcome broken = run_program(scratch, {"verify", kCase, "broken.safetensors"});
  EXPECT_EQ(broken.code, 2);
  EXPECT_EQ(broken.out, "");
  EXPECT_THAT(broken.err, HasSubstr("broken.safetensors"));
  EXPECT_EQ(run_program(scratch, {"verify", kCase, "--transport", "pigeon"}).code, 2);
  EXPECT_EQ(run_program(scratch, {"verify", kCase, "--ranks", "0"}).code, 2);
}

}  // namespace
}  // namespace coe
