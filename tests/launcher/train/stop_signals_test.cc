#include "launcher/train/stop_signals.h"

#include <gtest/gtest.h>

#include <csignal>

namespace coe {
namespace {

TEST(StopSignals, ASignalIsRememberedAndEndsNothing) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const StopSignals signals;
    EXPECT_EQ(signals.raised(), 0);
    std::raise(signal);
    EXPECT_EQ(signals.raised(), signal);
  }
}

TEST(StopSignals, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        const StopSignals signals;
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignals, AfterItsEndSignalsActAsBefore) {
  EXPECT_EXIT(
      {
        { const StopSignals signals; }
        std::raise(SIGTERM);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace coe
