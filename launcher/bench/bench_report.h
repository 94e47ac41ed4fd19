#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "launcher/bench/benchmark.h"
#include "launcher/bench/spread.h"

namespace coe {

/// What a benchmark says: lines for people, the same numbers by name for programs.
struct BenchReport {
  std::string text;
  boost::json::object numbers;

  /// NAME, NAME_min and NAME_max.
  void put(std::string_view name, const Spread& spread);
};

/// The first line and the numbers that say what was measured, and on which GPU.
BenchReport begin_report(std::string_view what, const Benchmark& benchmark, int ranks);

/// "12.34 (11.02 to 14.55)"
std::string text_of(const Spread& spread, int digits);

}  // namespace coe
