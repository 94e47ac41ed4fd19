#pragma once

#include <cstdint>
#include <span>

namespace coe {

/// Draws the next token from softmax(logits / temperature): the one whose share of the unit interval holds `uniform`
/// in [0, 1); temperature 0: the most likely one, on a tie the first. Throws kBadInput for a negative temperature.
std::int32_t sample_token(std::span<const float> logits, double temperature, double uniform);

}  // namespace coe
