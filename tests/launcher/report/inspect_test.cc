#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

TEST(Inspect, AFileOfNoKnownKindIsBadInput) {
  const Scratch scratch;
  scratch.write("notes.txt", "hello");
  const Outcome outcome = run_program(scratch, {"inspect", "notes.txt"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("inspect: notes.txt is no file of a kind"));
}

TEST(Inspect, AMissingFileIsNamed) {
  const Scratch scratch;
  const Outcome outcome = run_program(scratch, {"inspect", "nowhere"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("inspect: nowhere does not exist"));
}

}  // namespace
}  // namespace coe
