#include "launcher/train/trained_model.h"

#include <string>

#include "kernels/memory/error.h"
#include "launcher/tell.h"
#include "runtime/layer/check_device.h"
#include "runtime/model/host_weights.h"
#include "runtime/training/checkpoint.h"

namespace coe {
namespace po = boost::program_options;
namespace {

bool on_gpu(const Config& config) { return config.training.device == Device::Kind::kCuda && cuda_devices() > 0; }

ModelUse use_of(const Config& config, std::int64_t tokens, const Stream& stream) {
  ModelUse use{.trained = false,
               .order = config.exchange.order,
               .threads = static_cast<int>(config.distributed.threads),
               .chunks = static_cast<int>(config.exchange.chunks),
               .capacity_factor = config.validation.capacity_factor};
  if (!on_gpu(config)) return use;
  use.tokens = tokens;
  use.stream = &stream;
  use.dtype = dtype_of(config.training.dtype);
  return use;
}

}  // namespace

TrainedModel::TrainedModel(const Config& config, const std::filesystem::path& place, std::int64_t tokens,
                           Transport& world)
    : stream(on_gpu(config) ? Stream(own_cuda_device()) : Stream()),
      groups(world, config.distributed.expert_parallel, config.distributed.deadline(), nullptr,
             {stream.device(), config.exchange.devices, config.exchange.sizes}),
      model(config.model, groups, use_of(config, tokens, stream)) {
  if (world.rank() == 0 && config.training.device == Device::Kind::kCuda && !on_gpu(config))
    tell("training.device is cuda, and no GPU can be used here: on the host, in fp32");
  HostWeights weights(model, groups.world());
  auto found = load_checkpoint(place, Damaged::kLeave, model.config(), weights.memory(), groups.world(),
                               {config.distributed.disk_deadline(), tell});
  check(found.has_value(), place.string(), ": holds no complete checkpoint");
  weights.write();
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
