#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/launch.h"
#include "kernels/memory/error.h"
#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/pinning.h"
#include "launcher/tell.h"
#include "launcher/train/run_folder.h"
#include "launcher/train/stop_signals.h"
#include "launcher/train/training_run.h"
#include "runtime/config/config.h"
#include "runtime/config/config_text.h"
#include "runtime/data/corpus.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/ranks/stop.h"
#include "runtime/training/run_facts.h"

namespace coe {
namespace po = boost::program_options;
namespace {

struct TrainArguments {
  Config config;
  Resume resume = Resume::kNo;
  std::optional<std::string> record, trace;
};

po::options_description option_list() {
  po::options_description options("options");
  add_config_options(options);
  auto add = options.add_options();
  add("out", po::value<std::string>()->value_name("DIR"), option_help("output.directory").c_str());
  add("resume", po::value<std::string>()->value_name("[=auto]"),
      "go on from the newest checkpoint in the run's folder; =auto: from the start where there is none");
  add("record-routing", po::value<std::string>()->value_name("FILE"),
      "count which experts are chosen, together and in turn; with --resume goes on from FILE");
  add("trace", po::value<std::string>()->value_name("FILE"),
      "write what each rank, its stream and its exchanges do when in three steps, for ui.perfetto.dev to show");
  return options;
}

/// A bare --resume, which Boost would give the next argument as its value.
constexpr const char* kNewest = "newest";

std::vector<std::string> with_bare_resume(std::span<const std::string> arguments) {
  std::vector<std::string> result(arguments.begin(), arguments.end());
  std::ranges::replace(result, "--resume", std::string("--resume=") + kNewest);
  return result;
}

Resume resume_of(const po::variables_map& values) {
  if (values.count("resume") == 0) return Resume::kNo;
  const std::string word = values["resume"].as<std::string>();
  check(word == kNewest || word == "auto", "train: --resume=", word, ": must be --resume or --resume=auto");
  return word == "auto" ? Resume::kAuto : Resume::kYes;
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
  const auto values = parse_options(syntax, option_list(), with_bare_resume(arguments));
  if (!values) return std::nullopt;
  TrainArguments result{configured(*values), resume_of(*values), std::nullopt, std::nullopt};
  if (values->count("out") == 1) result.config.output.directory = (*values)["out"].as<std::string>();
  if (values->count("record-routing") == 1) result.record = (*values)["record-routing"].as<std::string>();
  if (values->count("trace") == 1) result.trace = (*values)["trace"].as<std::string>();
  return result;
}

/// What all ranks must have alike.
RunFacts facts_of(const TrainArguments& arguments) {
  RunFacts facts = config_facts(arguments.config);
  for (const Split split : {Split::kTrain, Split::kValidation}) add_file_facts(arguments.config.data, split, facts);
  facts.meaning.push_back({"--resume", std::to_string(static_cast<int>(arguments.resume))});
  facts.meaning.push_back({"--record-routing", arguments.record.value_or("")});
  facts.meaning.push_back({"--trace", arguments.trace.value_or("")});
  return facts;
}

/// Goes through what is left of the data; a signal to any rank ends that on all, with nothing to keep. Returns its
/// number, 0 without one. Collective.
int complete(Corpus& corpus, const Group& group, const StopSignals& signals) {
  try {
    corpus.complete(group, [&] { return signals.raised() != 0; });
    return 0;
  } catch (const Stopped&) {
    std::vector<std::int32_t> raised(static_cast<std::size_t>(group.size()));
    const std::int32_t own = signals.raised();
    all_gather<std::int32_t>(group, {&own, 1}, raised, {.name = "agreeing on the signal"});
    const int signal = std::ranges::max(raised);
    if (group.rank() == 0) tell(StopSignals::nothing_begun(signal));
    return signal;
  }
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
  const bool resume = parsed->resume != Resume::kNo;
  check_expert_parallel(config.distributed.expert_parallel, launched_ranks());
  check_share(config, launched_ranks());
  std::optional<RecordingOptions> recording;
  if (parsed->record) recording = recording_options(*parsed->record, model, resume);
  const Pinning pinning(static_cast<int>(config.distributed.threads));
  std::optional<RunFolder> folder;
  int ended_by = 0;
  const auto open_folder = [&](Transport& world) {
    folder.emplace(directory, parsed->resume, world);
    return folder->flight();
  };
  const auto body = [&](Transport& world, FlightRecorder& recorder) {
    const PinnedTeam team = pinning.pin(world);
    ended_by = complete(corpus, {&world, config.distributed.deadline(), &recorder}, signals);
    if (ended_by != 0) return;
    const std::unique_ptr<TokenSource> train = corpus.source(Split::kTrain), valid = corpus.source(Split::kValidation);
    Config own = config;
    own.distributed.threads = team.threads();
    TrainingRun(own, world, recorder, *train, *valid, signals, *folder, resume, recording, parsed->trace).run();
  };
  signals.keep_running();
  const int code = run_recorded_ranks(facts_of(*parsed), open_folder, body, config.distributed.deadline());
  return ended_by == 0 ? code : 128 + ended_by;
}

}  // namespace coe
