#pragma once

#include <signal.h>

#include <array>
#include <string>

namespace coe {

/// While it lives, SIGTERM, SIGINT, SIGUSR1 and, unless it was ignored before, SIGHUP no longer end the process at once
/// but ask it to stop, once: a second signal of the same kind acts as without it. SIGPIPE is ignored: who reads what a
/// run prints may go. One at a time in a process.
class StopSignals {
 public:
  /// Until there is something to keep, a signal ends the process in one line, which `speaks` says whether this process
  /// writes, with exit code 128 + its number.
  explicit StopSignals(bool speaks);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// From now on a signal is only remembered.
  void keep_running();
  /// The signal that came, 0 without one.
  int raised() const;
  /// What is said where it ends a run with nothing to keep, without a line's end.
  static std::string nothing_begun(int signal);

 private:
  static constexpr std::array<int, 4> kSignals{SIGTERM, SIGINT, SIGUSR1, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
  struct sigaction pipe_before_ {};
};

}  // namespace coe
