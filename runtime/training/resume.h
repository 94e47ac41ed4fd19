#pragma once

#include "runtime/training/checkpoint.h"
#include "runtime/training/training_state.h"

namespace coe {

/// Makes `own`, the state in which a run of these facts and this seed would begin, the one in which it goes on from
/// `found`, and adds to the checkpoint's changes those of the run. Other training data, or other windows of it, are
/// gone through from their beginning.
void resume_from(FoundCheckpoint& found, TrainingState& own);

}  // namespace coe
