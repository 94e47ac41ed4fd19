#include "comm/mpi_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <string>

namespace coe {
namespace {

/// How a job of several processes ended; the test program of this folder checks the transport inside one (OnRanks).
struct Ending {
  int exit_code = -1;
  std::string output;
  double seconds = 0.0;
};

/// Runs failing_job under mpirun; rank 1 fails in the way that `how` says. The commands come from CMake.
Ending run_job(const std::string& how) {
  const auto start = std::chrono::steady_clock::now();
  Ending ending;
  std::FILE* pipe = popen((COE_MPIRUN " " COE_FAILING_JOB " " + how + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ending;
  std::array<char, 4096> text{};
  while (std::fgets(text.data(), text.size(), pipe) != nullptr) ending.output += text.data();
  const int status = pclose(pipe);
  if (WIFEXITED(status)) ending.exit_code = WEXITSTATUS(status);
  ending.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return ending;
}

constexpr double kAFewSeconds = 10.0;  // Of a machine with other work; 0.3 to 2 s alone.

TEST(MpiJob, JobThatGoesWellEndsWithZeroAndSilence) {
  const Ending ending = run_job("not_at_all");
  EXPECT_EQ(ending.exit_code, 0);
  EXPECT_EQ(ending.output, "");
}

TEST(MpiJob, BadInputOfOneRankEndsTheJobWithItsMessageAndTwo) {
  const Ending ending = run_job("bad_input");
  EXPECT_EQ(ending.exit_code, 2);
  EXPECT_EQ(ending.output, "error: config: top_k is 9, experts are 8\n");
  EXPECT_LT(ending.seconds, kAFewSeconds);
}

TEST(MpiJob, OtherErrorOfOneRankEndsTheJobWithItsMessageAndOne) {
  const Ending ending = run_job("internal");
  EXPECT_EQ(ending.exit_code, 1);
  EXPECT_EQ(ending.output, "error: plan: rows do not add up\n");
  EXPECT_LT(ending.seconds, kAFewSeconds);
}

TEST(MpiJob, ExceptionThatLeavesTheTransportsScopeDoesNotHang) {
  const Ending ending = run_job("exception");
  EXPECT_EQ(ending.exit_code, 1);
  EXPECT_EQ(ending.output, "error: no such file\n");
  EXPECT_LT(ending.seconds, kAFewSeconds);
}

TEST(MpiJob, KilledRankEndsTheJob) {
  const Ending ending = run_job("killed");
  EXPECT_GT(ending.exit_code, 0);
  EXPECT_LT(ending.seconds, kAFewSeconds);
}

TEST(MpiJob, SilentRankIsNamedAfterTheDeadline) {
  const Ending ending = run_job("silent");
  EXPECT_EQ(ending.exit_code, 1);
  EXPECT_THAT(ending.output, testing::ContainsRegex("waits for rank 1 .[^ ]+, pid [0-9]+. in dispatch of layer 3, "
                                                    "iteration 1: 0 of 1 bytes arrived after 0.5 s\n"));
  EXPECT_LT(ending.seconds, kAFewSeconds);
}

}  // namespace
}  // namespace coe
