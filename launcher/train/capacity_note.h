#pragma once

#include <string>

#include "runtime/config/config.h"

namespace coe {

/// What a run is told where its training looks ahead: a sentence that names the keys; else empty.
std::string look_ahead_note(const LayerConfig& layer);

/// How choices fared where a loss was measured without training, to stand behind it: ", without dropping choices" or
/// ", with capacity factor 1.25"; empty for a layer that never drops one.
std::string capacity_note(const Config& config);
/// What messages of fixed size between GPUs of `ranks` ranks have, and how much of that is padding where routing is
/// even; empty where sizes are not fixed.
std::string padding_note(const Config& config, std::int64_t ranks);

}  // namespace coe
