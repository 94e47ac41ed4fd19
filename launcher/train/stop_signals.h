#pragma once

#include <signal.h>

#include <array>

namespace coe {

/// While it lives, SIGTERM, SIGINT and SIGUSR1 no longer end the process but ask it to stop, once: a second signal of
/// the same kind acts as without it. One at a time in a process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The signal that came, 0 without one.
  int raised() const;

 private:
  static constexpr std::array<int, 3> kSignals{SIGTERM, SIGINT, SIGUSR1};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace coe
