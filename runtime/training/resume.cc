#include "runtime/training/resume.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace coe {
namespace {

/// An older format knows of its run no more than the seed: the rest is taken for what it is now.
std::vector<ConfigEntry> known_run(const TrainingState& state, const std::vector<ConfigEntry>& now) {
  if (!state.run.empty()) return state.run;
  std::vector<ConfigEntry> run = now;
  for (ConfigEntry& entry : run)
    if (entry.key == "training.seed") entry.value = std::to_string(state.seed);
  return run;
}

}  // namespace

void resume_from(FoundCheckpoint& found, TrainingState& own) {
  std::ranges::move(changes_between(known_run(found.state, own.run), own.run), std::back_inserter(found.changes));
  TrainingState next = found.state;
  next.run = std::move(own.run);
  next.seed = own.seed;
  if (moves_training_data(found.changes)) next.next_sequence = 0;
  own = std::move(next);
}

}  // namespace coe
