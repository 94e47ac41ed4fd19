#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "launcher/bench/benchmark.h"

namespace coe {

/// What `coe bench` was asked for.
struct BenchOptions {
  std::string what;  ///< "layer", "exchange", "experts", "gate"
  Benchmark benchmark;
  std::filesystem::path json;  ///< empty: none
};

/// Parses the arguments after `bench`; nothing where help was asked for, which is printed. Throws kBadInput.
std::optional<BenchOptions> parse_bench_options(std::span<const std::string> arguments);

}  // namespace coe
