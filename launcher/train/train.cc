#include <memory>
#include <optional>

#include "comm/make_transport.h"
#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/pinning.h"
#include "launcher/run_directory.h"
#include "launcher/train/stop_signals.h"
#include "launcher/train/training_run.h"
#include "runtime/config/config.h"
#include "runtime/data/corpus.h"
#include "runtime/ranks/rank_groups.h"

namespace coe {
namespace po = boost::program_options;
namespace {

struct TrainArguments {
  Config config;
  bool resume = false;
  std::optional<std::string> record;
};

po::options_description option_list() {
  po::options_description options("options");
  add_config_options(options);
  auto add = options.add_options();
  add("out", po::value<std::string>()->value_name("DIR"), "the run's folder: config, metrics, checkpoints");
  add("resume", po::bool_switch(), "go on from the newest checkpoint in the run's folder, from the start without one");
  add("record-routing", po::value<std::string>()->value_name("FILE"),
      "count which experts are chosen, together and in turn; with --resume goes on from FILE");
  return options;
}

std::optional<TrainArguments> parse(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "train",
      .usage = "CONFIG [options]",
      .text =
          "Trains the model of a TOML file, alone or as every rank of mpirun -np R.\n"
          "SIGTERM, SIGINT, SIGHUP or SIGUSR1 ends it with a checkpoint: after the step, or after the\n"
          "last whole one where a step or a validation takes several micro-batches.\n"
          "layer.drop_policy \"probability\" and layer.reroute_rounds look ahead: a later token can\n"
          "take an earlier one's expert. Validation drops nothing unless\n"
          "validation.capacity_factor says so.",
      .positional = "config"};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  TrainArguments result{configured(*values), false, std::nullopt};
  if (values->count("out") == 1) result.config.output.directory = (*values)["out"].as<std::string>();
  result.resume = (*values)["resume"].as<bool>();
  if (values->count("record-routing") == 1) result.record = (*values)["record-routing"].as<std::string>();
  return result;
}

}  // namespace

int run_train(std::span<const std::string> arguments) {
  const auto parsed = parse(arguments);
  if (!parsed) return 0;
  StopSignals signals(launched_local_rank() == 0);
  const Config& config = parsed->config;
  const ModelConfig& model = config.model;
  Corpus corpus(config.data, model.sequence, model.vocab, config.training.seed);
  for (const Split split : {Split::kTrain, Split::kValidation}) corpus.open(split);
  const RunDirectory directory{config.output.directory};
  check_run_directory(directory, parsed->resume);
  check_expert_parallel(config.distributed.expert_parallel, launched_ranks());
  std::optional<RecordingOptions> recording;
  if (parsed->record) recording = recording_options(*parsed->record, model, parsed->resume);
  const Pinning pinning(static_cast<int>(config.distributed.threads));
  const auto body = [&](Transport& world, FlightRecorder& recorder) {
    const PinnedTeam team = pinning.pin(world);
    corpus.complete({&world, config.distributed.deadline(), &recorder});
    const std::unique_ptr<TokenSource> train = corpus.source(Split::kTrain), valid = corpus.source(Split::kValidation);
    Config own = config;
    own.distributed.threads = team.threads();
    TrainingRun(own, world, recorder, *train, *valid, signals, parsed->resume, recording).run();
  };
  signals.keep_running();
  return run_recorded_ranks(directory.flight(), body, config.distributed.deadline());
}

}  // namespace coe
