#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>

#include "comm/transport.h"
#include "runtime/config.h"
#include "runtime/model.h"
#include "runtime/rank_groups.h"

namespace coe {

/// A model with a checkpoint's weights, spread over all ranks; nothing of it is trained on.
struct TrainedModel {
  /// Views the transport. Collective; throws kBadInput for a checkpoint of another model or a damaged one.
  TrainedModel(const Config& config, const std::filesystem::path& checkpoint, Transport& world);

  RankGroups groups;
  Model model;
  std::int64_t steps = 0;  ///< that the checkpoint was trained for
};

/// Adds --checkpoint.
void add_checkpoint_option(boost::program_options::options_description& options);
/// The checkpoint that --checkpoint means: itself, or the newest of a run. Throws kBadInput where there is none.
std::filesystem::path named_checkpoint(const boost::program_options::variables_map& values);

}  // namespace coe
