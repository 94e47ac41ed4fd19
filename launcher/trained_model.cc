#include "launcher/trained_model.h"

#include <string>

#include "kernels/error.h"
#include "runtime/checkpoint.h"

namespace coe {
namespace po = boost::program_options;

TrainedModel::TrainedModel(const Config& config, const std::filesystem::path& checkpoint, Transport& world)
    : groups(world, config.distributed.expert_parallel, config.distributed.deadline()),
      model(config.model, groups, false) {
  steps = load_checkpoint(checkpoint, model.config(), model.parameters(), groups.world()).step;
}

void add_checkpoint_option(po::options_description& options) {
  options.add_options()("checkpoint", po::value<std::string>()->required()->value_name("DIR"),
                        "a checkpoint, or a run whose newest one is meant");
}

std::filesystem::path named_checkpoint(const po::variables_map& values) {
  const std::filesystem::path place = values["checkpoint"].as<std::string>();
  const auto found = newest_checkpoint(place);
  check(found.has_value(), "--checkpoint is ", place.string(), ", which holds no complete checkpoint");
  return *found;
}

}  // namespace coe
