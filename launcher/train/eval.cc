#include <fmt/core.h>

#include <memory>
#include <numbers>
#include <optional>
#include <vector>

#include "comm/launch.h"
#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/pinning.h"
#include "launcher/run_directory.h"
#include "launcher/train/capacity_note.h"
#include "launcher/train/routing_recording.h"
#include "launcher/train/trained_model.h"
#include "runtime/data/corpus.h"
#include "runtime/model/model_size.h"
#include "runtime/training/run_facts.h"
#include "runtime/training/validation_loss.h"

namespace coe {
namespace po = boost::program_options;
namespace {

/// The config of the arguments; where it names no data, with those of the checkpoint's run.
Config judged(const po::variables_map& values, const std::filesystem::path& checkpoint) {
  Config config = configured(values);
  if (!config.data.train.empty() || !config.data.valid.empty()) return config;
  const std::optional<std::filesystem::path> run = run_of(checkpoint);
  if (!run) return config;
  std::vector<ConfigEntry> data = entries_of(read_config(RunDirectory{*run}.config()));
  std::erase_if(data, [](const ConfigEntry& entry) { return !entry.key.starts_with("data."); });
  return configured(values, data);
}

}  // namespace

int run_eval(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "eval",
      .usage = "CONFIG --checkpoint DIR [options]",
      .text =
          "Computes the validation loss of a trained model, alone or as every rank of mpirun -np R, on --valid, the\n"
          "last twentieth of --data, or, where neither the options nor CONFIG name data, what its run was judged by.\n"
          "No token loses an expert for want of capacity, unless validation.capacity_factor says so.",
      .positional = "config"};
  po::options_description options("options");
  add_config_options(options);
  add_checkpoint_option(options);
  options.add_options()("record-routing", po::value<std::string>()->value_name("FILE"),
                        "count which experts are chosen, together and in turn");
  const auto values = parse_options(syntax, options, arguments);
  if (!values) return 0;
  const std::filesystem::path checkpoint = named_checkpoint(*values);
  const Config config = judged(*values, checkpoint);
  const ModelConfig& model = config.model;
  Corpus corpus(config.data, model.sequence, model.vocab, config.training.seed);
  corpus.open(Split::kValidation);
  std::optional<RecordingOptions> recording;
  if (values->count("record-routing") == 1)
    recording = recording_options((*values)["record-routing"].as<std::string>(), model, false);
  check_share(config, launched_ranks());
  const Pinning pinning(static_cast<int>(config.distributed.threads));
  RunFacts facts = config_facts(config);
  add_file_facts(config.data, Split::kValidation, facts);
  facts.meaning.push_back({"--checkpoint", checkpoint.string()});
  facts.meaning.push_back({"--record-routing", recording ? recording->file.string() : ""});
  return run_ranks(facts, [&](Transport& world) {
    const PinnedTeam team = pinning.pin(world);
    Config own = config;
    own.distributed.threads = team.threads();
    TrainedModel trained(own, checkpoint, training_use(own, world.size()).tokens, world);
    std::optional<RoutingRecording> record;
    if (recording) {
      record.emplace(*recording, model, 0, world.rank());
      trained.model.record_routing(&record->counter());
    }
    corpus.complete({&world, config.distributed.deadline()});
    const std::unique_ptr<TokenSource> source = corpus.source(Split::kValidation);
    Arena arena(0, trained.stream.device());
    const double loss = validation_loss(trained.model, trained.groups, *source, config.validation.sequences,
                                        config.training.sequences_at_once(), arena);
    if (record) record->write(trained.groups.world());
    if (world.rank() != 0) return;
    fmt::print("{} after {} steps: validation loss {:.4f} nats per token, {:.4f} bits per token, on {}{}\n",
               model_name(model.layer), trained.steps, loss, loss / std::numbers::ln2,
               corpus.description(Split::kValidation), capacity_note(config));
  });
}

}  // namespace coe
