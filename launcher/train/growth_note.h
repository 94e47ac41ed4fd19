#pragma once

#include <string>

#include "runtime/training/step_report.h"

namespace coe {

/// Says when buffers go on growing. They are made for what a step is expected to take, and while routers learn the
/// first steps may take more: that is no fault, and not worth a line.
class GrowthNote {
 public:
  static constexpr int kSettlingSteps = 10;

  /// The sentence on the step that comes next, or nothing.
  std::string of(const StepReport& report);

 private:
  int steps_ = 0;
};

}  // namespace coe
