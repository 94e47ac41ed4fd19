#pragma once

#include "launcher/verify/case_results.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// Runs a layer case on the stream's CUDA device in fp32, forward and backward, over all ranks, and gathers all that
/// the case expects; this rank's gradients are left in `parameters`, which hold the case's weights. Throws kBadInput
/// for a layer that the device does not do. Collective.
void run_cuda_layer(const CaseFile& file, const RankGroups& groups, const Placement& placement, const Stream& stream,
                    Parameters& parameters, CaseResults& results);

}  // namespace coe
