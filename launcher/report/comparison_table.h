#pragma once

#include <span>
#include <string>

#include "launcher/report/run_summary.h"

namespace coe {

/// One column a run, one row a number; ends in a line feed.
std::string comparison_table(std::span<const RunSummary> runs);

}  // namespace coe
