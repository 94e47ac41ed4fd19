#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "runtime/training/step_report.h"

namespace coe {

/// Whether stderr ends at a terminal; under mpirun, which passes it on, whether mpirun's own does.
bool stderr_is_terminal();

/// Tells on stderr how a run goes: a bar on a terminal, elsewhere a line at most every ten seconds.
class Progress {
 public:
  /// For the steps after `first`, up to `last`.
  Progress(std::int64_t first, std::int64_t last, bool terminal);
  /// A line of its own.
  void say(const std::string& sentence);
  void show(const StepReport& report);

 private:
  using Clock = std::chrono::steady_clock;
  void draw_bar(const StepReport& report);
  double seconds_left(std::int64_t step) const;

  std::int64_t first_, last_;
  bool terminal_;
  bool bar_drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

}  // namespace coe
