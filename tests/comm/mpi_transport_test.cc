#include "comm/mpi_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "comm/flight_file.h"
#include "comm/flight_recorder.h"
#include "comm/wait.h"
#include "tests/launcher/scratch.h"
#include "tests/ranks.h"

namespace {
std::uint64_t calls_of_isend = 0;
}  // namespace

/// Stands before MPI's own in this program.
extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int peer, int tag, MPI_Comm communicator,
                         MPI_Request* request) {
  ++calls_of_isend;
  return PMPI_Isend(data, count, type, peer, tag, communicator, request);
}

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

TEST(MpiTransportOnRanks, MessagesSentAreWhatMpiIsGiven) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  for_each_ranks([](Transport& transport) {
    std::array<std::byte, 64> out{}, in{};
    std::vector<Piece> pieces, places;
    for (std::size_t i = 0; i < out.size(); i += 2) {
      pieces.push_back({&out[i], 1});
      places.push_back({&in[i], 1});
    }
    const auto ranks = static_cast<std::uint64_t>(transport.size());
    const Message to_next{(transport.rank() + 1) % transport.size(), pieces};
    const Message from_last{(transport.rank() + transport.size() - 1) % transport.size(), places};
    const std::uint64_t calls = calls_of_isend, counted = transport.messages_sent();
    for (std::uint64_t i = 0; i < ranks; ++i) {
      wait({&transport}, transport.post({&to_next, 1}, {&from_last, 1}), {.name = "test"});
    }
    EXPECT_EQ(calls_of_isend - calls, ranks);
    EXPECT_EQ(transport.messages_sent() - counted, ranks);
  });
}

/// Whoever waits for a late rank to make its window gives signs of life meanwhile, and says whom it waits for.
TEST(MpiTransportOnRanks, TheMakingOfAWindowIsRecorded) {
  if (!ranks_are_processes()) GTEST_SKIP() << "ranks are threads";
  on_ranks(2, [](Transport& world) {
    const Scratch scratch;
    FlightRecorder recorder(scratch.path(), world.rank(), world.size());
    world.record_by(&recorder);
    const auto group = world.split(0, world.rank());
    if (group->rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(600));
    const auto window = group->make_window(64);
    world.record_by(nullptr);
    const FlightFile flight = read_flight_file(flight_path(scratch.path(), world.rank()));
    ASSERT_NE(flight.newest(), nullptr);
    EXPECT_EQ(flight.newest()->text(), "making a window");
    EXPECT_EQ(flight.newest()->state, FlightState::kDone);
    if (world.rank() == 1) return;
    EXPECT_EQ(flight.newest()->missing, 1U);
    EXPECT_EQ(flight.newest()->named[0], 1);
  });
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
