#include "launcher/train/growth_note.h"

#include <fmt/format.h>

namespace coe {

std::string GrowthNote::of(const StepReport& report) {
  const bool settling = steps_ < kSettlingSteps;
  if (settling) ++steps_;
  if (settling || report.buffer_growths == 0) return "";
  return fmt::format("step {}: {} buffers were too small and have grown: ranks take more rows than in the steps before",
                     report.step, report.buffer_growths);
}

}  // namespace coe
