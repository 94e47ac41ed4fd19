#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>

#include "comm/transport.h"
#include "kernels/memory/stream.h"
#include "runtime/config/config.h"
#include "runtime/model/model.h"
#include "runtime/ranks/rank_groups.h"

namespace coe {

/// A model with a checkpoint's weights, spread over all ranks; nothing of it is trained on. On a GPU where
/// training.device says so and there is one, else on the host.
struct TrainedModel {
  /// Loads the checkpoint at `place`, or the newest undamaged one of the run at `place`; rank 0 then says on stderr
  /// what was passed over. A rank has at most `tokens` in one forward. Views the transport. Collective; throws what
  /// load_checkpoint throws.
  TrainedModel(const Config& config, const std::filesystem::path& place, std::int64_t tokens, Transport& world);

  Stream stream;
  RankGroups groups;
  Model model;
  std::int64_t steps = 0;  ///< that the checkpoint was trained for
};

/// Adds --checkpoint.
void add_checkpoint_option(boost::program_options::options_description& options);
/// What --checkpoint names: a checkpoint, or a run that has one. Throws kBadInput where there is none.
std::filesystem::path named_checkpoint(const boost::program_options::variables_map& values);

}  // namespace coe
