#pragma once

#include "runtime/config/config.h"

namespace coe {

/// Throws kBadInput where a layer asks for what the kernels of a CUDA device do not do; one sentence says what.
void check_cuda_layer(const LayerConfig& config);
/// Throws kBadInput where no CUDA device can be used, in a build without CUDA too.
void check_cuda_device();

}  // namespace coe
