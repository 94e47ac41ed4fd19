#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace coe {

/// What a step's time goes to; communication phases include the waiting for others.
enum class Part : std::uint8_t {
  kData,
  kAttention,
  kGate,
  kPlan,
  kDispatch,
  kExperts,
  kCombine,
  kHead,
  kReduce,
  kOptimiser
};

inline constexpr std::array<std::string_view, 10> kPartNames = {"data",    "attention", "gate", "plan",   "dispatch",
                                                                "experts", "combine",   "head", "reduce", "optimiser"};

}  // namespace coe
