#pragma once

#include "kernels/memory/device.h"
#include "runtime/config/config.h"

namespace coe {

/// Throws kBadInput where a layer asks for what the kernels of a CUDA device do not do; one sentence says what.
void check_cuda_layer(const LayerConfig& config);
/// Throws kBadInput where no CUDA device can be used, in a build without CUDA too.
void check_cuda_device();
/// The device of this process: those of one host take theirs in turn, and share them where there are more processes.
/// Throws what check_cuda_device() throws.
Device own_cuda_device();

}  // namespace coe
