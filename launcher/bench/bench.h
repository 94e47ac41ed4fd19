#pragma once

#include <span>
#include <string>

namespace coe {

/// What `coe bench` does, in the program coe_bench: what stands behind the verb. Returns the exit code; throws
/// kBadInput.
int run_benchmarks(std::span<const std::string> arguments);

}  // namespace coe
