#include <fmt/core.h>

#include <memory>
#include <numbers>
#include <optional>

#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/pinning.h"
#include "launcher/train/routing_recording.h"
#include "launcher/train/trained_model.h"
#include "runtime/training/mean_loss.h"

namespace coe {
namespace po = boost::program_options;

int run_eval(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "eval",
      .usage = "CONFIG --checkpoint DIR [options]",
      .text = "Computes the validation loss of a trained model, alone or as every rank of mpirun -np R.",
      .positional = "config"};
  po::options_description options("options");
  add_config_options(options);
  add_checkpoint_option(options);
  options.add_options()("record-routing", po::value<std::string>()->value_name("FILE"),
                        "count which experts are chosen, together and in turn");
  const auto values = parse_options(syntax, options, arguments);
  if (!values) return 0;
  const Config config = configured(*values);
  const std::filesystem::path checkpoint = named_checkpoint(*values);
  const ModelConfig& model = config.model;
  const std::unique_ptr<TokenSource> source =
      make_token_source(config.data, Split::kValidation, model.sequence, model.vocab, config.training.seed);
  std::optional<RecordingOptions> recording;
  if (values->count("record-routing") == 1)
    recording = recording_options((*values)["record-routing"].as<std::string>(), model, false);
  const Pinning pinning(static_cast<int>(config.distributed.threads));
  return run_ranks([&](Transport& world) {
    const PinnedTeam team = pinning.pin(world);
    Config own = config;
    own.distributed.threads = team.threads();
    TrainedModel trained(own, checkpoint, world);
    std::optional<RoutingRecording> record;
    if (recording) {
      record.emplace(*recording, model, 0, world.rank());
      trained.model.record_routing(&record->counter());
    }
    Arena arena;
    const double loss = mean_loss(trained.model, trained.groups, *source, config.validation.sequences,
                                  config.training.sequences_at_once(), arena);
    if (record) record->write(trained.groups.world());
    if (world.rank() != 0) return;
    fmt::print("{} after {} steps: validation loss {:.4f} nats per token, {:.4f} bits per token\n",
               model_name(model.layer), trained.steps, loss, loss / std::numbers::ln2);
  });
}

}  // namespace coe
