#include "launcher/bench_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "tests/launcher/program.h"

namespace coe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string output_of(const std::string& command) {
  std::string output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> text{};
  while (std::fgets(text.data(), text.size(), pipe) != nullptr) output += text.data();
  pclose(pipe);
  return output;
}

TEST(BenchProgram, LiesBesideTheProgramThatBecomesIt) { EXPECT_EQ(bench_program().filename(), "coe_bench"); }

TEST(BenchProgram, TheVerbBecomesIt) {
  const Scratch scratch;
  const Outcome help = run_program(scratch, {"bench", "--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("usage: coe bench"));
  const Outcome refused = run_program(scratch, {"bench", "nothing"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("coe: "));
}

TEST(BenchProgram, TheCommandItselfLinksNothingOfWhatIsOnlyCompared) {
  const std::string libraries = output_of(std::string("ldd ") + program_file());
  ASSERT_THAT(libraries, HasSubstr("libc.so"));
  EXPECT_THAT(libraries, Not(HasSubstr("openblas")));
  EXPECT_THAT(libraries, Not(HasSubstr("dnnl")));
}

TEST(BenchProgram, TheCommandItselfLeavesMallocAlone) {
  const std::string symbols = output_of(std::string("nm -D --defined-only ") + program_file());
  ASSERT_THAT(output_of(std::string("nm -D ") + program_file()), HasSubstr(" U "));
  for (const char* name : {" T malloc\n", " T free\n", " T _Znwm\n"}) EXPECT_THAT(symbols, Not(HasSubstr(name)));
}

}  // namespace
}  // namespace coe
