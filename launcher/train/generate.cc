#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "kernels/memory/arena.h"
#include "kernels/memory/error.h"
#include "kernels/memory/random.h"
#include "launcher/command.h"
#include "launcher/config_options.h"
#include "launcher/failure.h"
#include "launcher/options.h"
#include "launcher/pinning.h"
#include "launcher/train/sample_token.h"
#include "launcher/train/trained_model.h"
#include "runtime/ranks/read_back.h"
#include "runtime/training/run_facts.h"

namespace coe {
namespace po = boost::program_options;
namespace {

struct GenerateArguments {
  Config config;
  std::filesystem::path checkpoint;
  std::string prompt;
  std::int64_t tokens = 0;
  double temperature = 0;
  std::uint64_t seed = 0;
};

po::options_description option_list() {
  po::options_description options("options");
  add_config_options(options);
  add_checkpoint_option(options);
  auto add = options.add_options();
  add("prompt", po::value<std::string>()->required()->value_name("TEXT"), "the text to go on from");
  add("tokens", po::value<std::int64_t>()->default_value(200)->value_name("N"), "how many to add");
  add("temperature", po::value<double>()->default_value(0.8, "0.8")->value_name("X"),
      "of the softmax drawn from; 0 takes the likeliest token");
  add("seed", po::value<std::uint64_t>()->default_value(1)->value_name("N"), "of the draws");
  return options;
}

std::optional<GenerateArguments> parse(std::span<const std::string> arguments) {
  const VerbSyntax syntax{
      .verb = "generate",
      .usage = "CONFIG --checkpoint DIR --prompt TEXT [options]",
      .text =
          "Goes on from a text with a trained model of bytes, alone or as every rank of mpirun -np R. No token\n"
          "loses an expert for want of capacity, unless validation.capacity_factor says so.",
      .positional = "config"};
  const auto values = parse_options(syntax, option_list(), arguments);
  if (!values) return std::nullopt;
  GenerateArguments result{.config = configured(*values),
                           .checkpoint = named_checkpoint(*values),
                           .prompt = (*values)["prompt"].as<std::string>(),
                           .tokens = (*values)["tokens"].as<std::int64_t>(),
                           .temperature = (*values)["temperature"].as<double>(),
                           .seed = (*values)["seed"].as<std::uint64_t>()};
  check(!result.prompt.empty(), "generate: --prompt is empty, at least one byte is needed");
  check(result.tokens >= 0, "generate: --tokens is ", result.tokens, ", must be at least 0");
  check(result.temperature >= 0, "generate: --temperature is ", result.temperature, ", must be at least 0");
  check(result.config.model.vocab == 256, "generate: model.vocab is ", result.config.model.vocab,
        ", only models of bytes (256) can speak");
  return result;
}

/// The next token after `text`: rank 0 computes and draws, the others lend their experts and are told.
std::int32_t next_token(TrainedModel& trained, std::span<const std::int32_t> text, double temperature, double uniform,
                        Arena& arena) {
  const Group world = trained.groups.world();
  const Batch batch = deal_batch(1, static_cast<std::int64_t>(text.size()), trained.groups);
  arena.reset();
  const Tensor ids(const_cast<std::int32_t*>(text.data()), DType::kI32, {batch.tokens()});
  const Tensor logits = arena.make<float>({batch.tokens(), trained.model.config().vocab});
  trained.model.logits(ids, batch, logits, arena);
  std::int32_t token = 0;
  if (world.rank() == 0) {
    const Tensor last = logits[batch.tokens() - 1];
    token = sample_token(read_back<float>(last, world, trained.stream, {"reading logits"}), temperature, uniform);
  }
  broadcast(world, std::as_writable_bytes(std::span(&token, 1)), 0, {"telling a token"});
  return token;
}

void generate(const GenerateArguments& arguments, Transport& world) {
  TrainedModel trained(arguments.config, arguments.checkpoint, arguments.config.model.sequence, world);
  std::vector<std::int32_t> text;
  for (const char byte : arguments.prompt) text.push_back(static_cast<unsigned char>(byte));
  if (world.rank() == 0) fmt::print("{}", arguments.prompt);
  Arena arena(0, trained.stream.device());
  const auto longest = static_cast<std::size_t>(arguments.config.model.sequence);
  for (std::int64_t i = 0; i < arguments.tokens; ++i) {
    const std::span seen = std::span(text).last(std::min(text.size(), longest));
    const float uniform = random_uniform({arguments.seed, 0}, static_cast<std::uint64_t>(i));
    text.push_back(next_token(trained, seen, arguments.temperature, uniform, arena));
    if (world.rank() != 0) continue;
    std::putchar(text.back());
    std::fflush(stdout);
  }
  if (world.rank() == 0) fmt::print("\n");
}

}  // namespace

int run_generate(std::span<const std::string> arguments) {
  const auto parsed = parse(arguments);
  if (!parsed) return 0;
  const Pinning pinning(static_cast<int>(parsed->config.distributed.threads));
  RunFacts facts = config_facts(parsed->config);
  facts.meaning.push_back({"--checkpoint", parsed->checkpoint.string()});
  facts.meaning.push_back({"the command", fmt::format("coe generate {}", fmt::join(arguments, " "))});
  return run_ranks(facts, [&](Transport& world) {
    const PinnedTeam team = pinning.pin(world);
    GenerateArguments own = *parsed;
    own.config.distributed.threads = team.threads();
    generate(own, world);
  });
}

}  // namespace coe
