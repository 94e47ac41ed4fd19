#include "launcher/train/trained_model.h"

#include <string>

#include "kernels/memory/error.h"
#include "launcher/tell.h"
#include "runtime/training/checkpoint.h"

namespace coe {
namespace po = boost::program_options;

TrainedModel::TrainedModel(const Config& config, const std::filesystem::path& place, Transport& world)
    : groups(world, config.distributed.expert_parallel, config.distributed.deadline()),
      model(config.model, groups,
            {.trained = false,
             .order = config.exchange.order,
             .threads = static_cast<int>(config.distributed.threads),
             .chunks = static_cast<int>(config.exchange.chunks),
             .capacity_factor = config.validation.capacity_factor}) {
  auto found = load_checkpoint(place, Damaged::kLeave, model.config(), model.parameters(), groups.world(),
                               {config.distributed.disk_deadline(), tell});
  check(found.has_value(), place.string(), ": holds no complete checkpoint");
  steps = found->state.step;
  for (const std::string& line : found->damage) {
    if (world.rank() == 0) tell(line);
  }
  const std::string changes = told_changes(found->changes, config.training);
  if (world.rank() == 0 && !changes.empty()) tell("the checkpoint was trained otherwise: " + changes);
  for (ChainLayer& chain : model.chains()) chain.pack_experts();
}

void add_checkpoint_option(po::options_description& options) {
  options.add_options()("checkpoint", po::value<std::string>()->required()->value_name("DIR"),
                        "a checkpoint, or a run whose newest one is meant");
}

std::filesystem::path named_checkpoint(const po::variables_map& values) {
  const std::filesystem::path place = values["checkpoint"].as<std::string>();
  check(newest_checkpoint(place).has_value(), "--checkpoint is ", place.string(),
        ", which holds no complete checkpoint");
  return place;
}

}  // namespace coe
