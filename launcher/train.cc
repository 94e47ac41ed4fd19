#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "launcher/command.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/run_directory.h"
#include "launcher/training_run.h"
#include "runtime/config.h"
#include "runtime/token_source.h"

namespace coe {
namespace po = boost::program_options;
namespace {

struct TrainArguments {
  Config config;
  bool resume = false;
};

po::options_description option_list() {
  po::options_description options("options");
  auto add = options.add_options();
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "overrides the config, as training.steps=10; may be given again");
  add("data", po::value<std::string>()->value_name("PATH"), "text, JSONL or uint16 tokens to train on");
  add("valid", po::value<std::string>()->value_name("PATH"), "the like for validation");
  add("out", po::value<std::string>()->value_name("DIR"), "the run's folder: config, metrics, checkpoints");
  add("resume", po::bool_switch(), "go on from the newest checkpoint in the run's folder, from the start without one");
  return options;
}

std::optional<TrainArguments> parse(std::span<const std::string> arguments) {
  const VerbSyntax syntax{.verb = "train",
                          .usage = "CONFIG [options]",
                          .text =
                              "Trains the model of a TOML file, alone or as every rank of mpirun -np R.\n"
                              "SIGTERM, SIGINT or SIGUSR1 ends it after the step, with a checkpoint.",
                          .positional = "config"};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  std::vector<std::string> settings;
  if (values->count("set") == 1) settings = (*values)["set"].as<std::vector<std::string>>();
  TrainArguments result;
  result.config = read_config((*values)["config"].as<std::vector<std::string>>().front(), settings);
  const auto override_path = [&](const char* option, std::filesystem::path& path) {
    if (values->count(option) == 1) path = (*values)[option].as<std::string>();
  };
  override_path("data", result.config.data.train);
  override_path("valid", result.config.data.valid);
  override_path("out", result.config.output.directory);
  result.resume = (*values)["resume"].as<bool>();
  return result;
}

}  // namespace

int run_train(std::span<const std::string> arguments) {
  const auto parsed = parse(arguments);
  if (!parsed) return 0;
  const Config& config = parsed->config;
  const ModelConfig& model = config.model;
  const auto open = [&](Split split) {
    return make_token_source(config.data, split, model.sequence, model.vocab, config.training.seed);
  };
  const std::unique_ptr<TokenSource> train = open(Split::kTrain), valid = open(Split::kValidation);
  check_run_directory({config.output.directory}, parsed->resume);
  return run_ranks([&](Transport& world) { TrainingRun(config, world, *train, *valid, parsed->resume).run(); });
}

}  // namespace coe
