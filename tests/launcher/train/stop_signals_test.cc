#include "launcher/train/stop_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace coe {
namespace {

TEST(StopSignals, ASignalIsRememberedAndEndsNothing) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
    StopSignals signals(true);
    signals.keep_running();
    EXPECT_EQ(signals.raised(), 0);
    std::raise(signal);
    EXPECT_EQ(signals.raised(), signal);
  }
}

TEST(StopSignals, WithNothingToKeepItEndsTheProcessInOneLine) {
  const auto end_by = [](int signal, bool speaks) {
    const StopSignals signals(speaks);
    std::raise(signal);
  };
  EXPECT_EXIT(end_by(SIGTERM, true), ::testing::ExitedWithCode(128 + SIGTERM),
              "^coe: ended by SIGTERM before the first step: nothing was begun\n$");
  EXPECT_EXIT(end_by(SIGHUP, true), ::testing::ExitedWithCode(128 + SIGHUP), "^coe: ended by SIGHUP before");
  EXPECT_EXIT(end_by(SIGINT, false), ::testing::ExitedWithCode(128 + SIGINT), "^$");
}

TEST(StopSignals, NothingBegunIsSaidTheSameOfASignalThatWasRemembered) {
  EXPECT_EQ(StopSignals::nothing_begun(SIGUSR1), "coe: ended by SIGUSR1 before the first step: nothing was begun");
}

TEST(StopSignals, ASecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        StopSignals signals(true);
        signals.keep_running();
        std::raise(SIGINT);
        std::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST(StopSignals, UnderNohupAHangUpIsNothing) {
  EXPECT_EXIT(
      {
        std::signal(SIGHUP, SIG_IGN);
        const StopSignals signals(true);
        std::raise(SIGHUP);
        _exit(signals.raised() == 0 ? 3 : 4);
      },
      ::testing::ExitedWithCode(3), "^$");
}

TEST(StopSignals, AReaderWhoIsGoneEndsNothing) {
  EXPECT_EXIT(
      {
        int ends[2];
        if (pipe(ends) != 0) _exit(1);
        close(ends[0]);
        const StopSignals signals(true);
        _exit(write(ends[1], "x", 1) < 0 && errno == EPIPE ? 3 : 4);
      },
      ::testing::ExitedWithCode(3), "^$");
}

TEST(StopSignals, AfterItsEndSignalsActAsBefore) {
  for (const int signal : {SIGTERM, SIGHUP, SIGPIPE}) {
    EXPECT_EXIT(
        {
          { const StopSignals signals(true); }
          std::raise(signal);
        },
        ::testing::KilledBySignal(signal), "");
  }
}

}  // namespace
}  // namespace coe
