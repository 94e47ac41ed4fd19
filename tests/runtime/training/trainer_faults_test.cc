#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "comm/make_transport.h"
#include "tests/faulty_training.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

constexpr int kRanks = 4;

/// What the job says whose rank 1 throws instead of post number `post`, and the phase that rank 1 then was in.
struct Ending {
  std::string message, phase;
};

Ending end_at(const Scratch& scratch, long post) {
  Ending ending;
  try {
    run_local_ranks(kRanks, [&](Transport& world) {
      FlightRecorder recorder(scratch.path(), world.rank(), kRanks);
      train_faultily(world, recorder, post);
    });
  } catch (const Error& error) {
    ending.message = error.what();
  }
  const FlightFile flight = read_flight_file(flight_path(scratch.path(), 1));
  if (flight.newest() != nullptr) ending.phase = flight.newest()->text();
  return ending;
}

TEST(TrainerFaults, ARankThatThrowsInAnyPhaseEndsAllRanksWithItsMessage) {
  const Scratch scratch;
  std::set<std::string> phases;
  long post = 0;
  for (;; ++post) {
    const Ending ending = end_at(scratch, post);
    if (ending.message.empty()) break;
    ASSERT_EQ(ending.message, "injected") << ending.phase;
    phases.insert(ending.phase);
  }
  EXPECT_GT(post, 4 * 7 + 6);
  for (const char* layer : {"layer 0", "layer 1"}) {
    for (const char* iteration : {", iteration 0 of step 1", ", iteration 1 of step 1"}) {
      for (const char* name :
           {"plan", "balance", "admission", "dispatch", "combine", "backward dispatch", "backward combine"})
        EXPECT_TRUE(phases.contains(std::string(name) + " of " + layer + iteration)) << name << layer << iteration;
    }
  }
  for (const char* name : {"gradient reduction", "expert gradient reduction", "gradient norm", "loss reduction",
                           "routing report", "time report"})
    EXPECT_TRUE(phases.contains(std::string(name) + " of step 1")) << name;
}

}  // namespace
}  // namespace coe
