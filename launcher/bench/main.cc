#include <string>
#include <vector>

#include "launcher/bench/bench.h"
#include "launcher/failure.h"

/// coe_bench, which `coe bench` becomes: it counts allocations and may link libraries to be compared with, so that coe
/// itself need not.
int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  try {
    return coe::run_benchmarks(arguments);
  } catch (const std::exception& error) {
    return coe::report_failure(error);
  }
}
