#include "comm/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "comm/make_transport.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

using testing::HasSubstr;

using Values = std::map<std::string, std::string>;

/// Sets what launchers set, nothing else, and takes it back.
class LaunchEnvironment {
 public:
  explicit LaunchEnvironment(const Values& values) {
    for (const char* name : kNames) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      unsetenv(name);
    }
    for (const auto& [name, value] : values) setenv(name.c_str(), value.c_str(), 1);
  }
  ~LaunchEnvironment() {
    for (const char* name : kNames) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }
  LaunchEnvironment(const LaunchEnvironment&) = delete;
  LaunchEnvironment& operator=(const LaunchEnvironment&) = delete;

 private:
  static constexpr const char* kNames[] = {"OMPI_COMM_WORLD_SIZE",
                                           "OMPI_COMM_WORLD_RANK",
                                           "OMPI_COMM_WORLD_LOCAL_RANK",
                                           "PMI_SIZE",
                                           "PMI_RANK",
                                           "PMI_FD",
                                           "MPI_LOCALRANKID",
                                           "SLURM_NTASKS",
                                           "PMIX_RANK",
                                           "PMIX_NAMESPACE",
                                           "SLURM_STEP_NUM_TASKS",
                                           "SLURM_PROCID",
                                           "SLURM_LOCALID",
                                           "PMI_PORT",
                                           "PALS_RANKID"};
  Values before_;
};

TEST(Launch, PlainStartIsOneRank) {
  const LaunchEnvironment environment(Values{});
  EXPECT_FALSE(launched_by_mpi());
  EXPECT_EQ(launched_rank(), 0);
}

TEST(Launch, MpirunsVariablesAreRead) {
  const LaunchEnvironment environment(Values{{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}});
  EXPECT_TRUE(launched_by_mpi());
  EXPECT_EQ(launched_rank(), 3);
}

TEST(Launch, SrunsVariablesAreRead) {
  const LaunchEnvironment environment(Values{{"SLURM_NTASKS", "8"}, {"PMIX_RANK", "5"}});
  EXPECT_TRUE(launched_by_mpi());
  EXPECT_EQ(launched_rank(), 5);
}

TEST(Launch, OneRankOfOneNeedsNoLauncher) {
  const LaunchEnvironment environment(Values{{"OMPI_COMM_WORLD_SIZE", "1"}, {"OMPI_COMM_WORLD_RANK", "0"}});
  EXPECT_FALSE(launched_by_mpi());
}

TEST(Launch, SlurmShellIsNotARank) {
  const LaunchEnvironment environment(Values{{"SLURM_NTASKS", "8"}});
  EXPECT_FALSE(launched_by_mpi());
}

TEST(Launch, NumbersThatAreNoneAreIgnored) {
  const LaunchEnvironment environment(Values{{"PMI_SIZE", "four"}, {"PMI_RANK", "3"}});
  EXPECT_FALSE(launched_by_mpi());
  EXPECT_EQ(launched_rank(), 0);
}

/// What join_job() says where it must refuse.
std::string refusal() {
  try {
    join_job();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "joined";
}

TEST(Launch, SrunWithoutPmiIsRefusedBeforeMpiStarts) {
  const LaunchEnvironment environment(
      Values{{"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_NTASKS", "2"}, {"SLURM_PROCID", "1"}, {"SLURM_LOCALID", "1"}});
  EXPECT_TRUE(launched_by_mpi());
  EXPECT_EQ(launched_rank(), 1);
  EXPECT_EQ(launch_in_environment().local_rank, 1);
  EXPECT_THAT(refusal(), HasSubstr("srun started 2 ranks, MPI knows of 1"));
}

TEST(Launch, WhatPmiIsOfferedIsTried) {
  const LaunchEnvironment environment(
      Values{{"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "0"}, {"PMIX_NAMESPACE", "slurm.pmix.1.0"}});
  EXPECT_TRUE(launch_in_environment().reaches_mpi);
}

TEST(Launch, ABatchScriptIsNotARank) {
  const LaunchEnvironment environment(Values{{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}});
  EXPECT_EQ(refusal(), "joined");
}

TEST(Launch, MpirunInsideASlurmStepCountsItsOwnRanks) {
  const LaunchEnvironment environment(Values{{"OMPI_COMM_WORLD_SIZE", "1"},
                                             {"OMPI_COMM_WORLD_RANK", "0"},
                                             {"SLURM_STEP_NUM_TASKS", "8"},
                                             {"SLURM_PROCID", "3"}});
  EXPECT_EQ(refusal(), "joined");
}

TEST(Launch, ALauncherThatCountsOtherwiseThanMpiIsRefused) {
  check_launch({.launcher = "mpirun", .ranks = 4}, 4);
  try {
    check_launch({.launcher = "a PMI launcher", .ranks = 2, .rank = 1}, 1);
    ADD_FAILURE() << "each rank would run alone";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("a PMI launcher started 2 ranks, MPI knows of 1"));
  }
}

}  // namespace
}  // namespace coe
