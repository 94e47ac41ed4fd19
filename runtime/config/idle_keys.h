#pragma once

#include <string>

#include "runtime/config/config.h"

namespace coe {

/// The keys that have been set and change nothing beside the others, or on so many ranks, each with the reason, in one
/// line: "layer.router_bias_rate 0.01 (layer.router_bias is false)". Empty where every key counts.
std::string idle_keys(const Config& config, std::int64_t ranks);

}  // namespace coe
