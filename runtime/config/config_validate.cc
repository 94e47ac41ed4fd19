#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include "kernels/memory/error.h"
#include "runtime/config/config.h"
#include "runtime/config/data_format.h"

namespace coe {
namespace {

// Wide enough for any machine, and such that no product of them that the code forms leaves 64 bits.
constexpr std::int64_t kWidest = std::int64_t{1} << 20;
constexpr std::int64_t kDeepest = 1000;
constexpr std::int64_t kMostSteps = std::int64_t{1} << 40;
constexpr double kMostWeights = 0x1p48;
constexpr std::int64_t kMostChoices = std::numeric_limits<std::int32_t>::max();  // routing is indexed by int32
constexpr std::int64_t kByteVocab = 256;
constexpr std::int64_t kFewestKept = 2;  // the newest may be damaged
constexpr double kLongestDeadline = 1e6;

void check_range(std::string_view key, std::int64_t value, std::int64_t low, std::int64_t high) {
  check(value >= low && value <= high, key, ": ", value, ", must be from ", low, " to ", high);
}

void check_finite_from_0(std::string_view key, double value) {
  check(std::isfinite(value) && value >= 0, key, ": ", value, ", must be a finite number from 0");
}

void check_finite_above_0(std::string_view key, double value) {
  check(std::isfinite(value) && value > 0, key, ": ", value, ", must be a finite number above 0");
}

/// Capacities are counted exactly, which takes a decimal.
void check_capacity_factor(std::string_view key, double factor) {
  constexpr double kMillion = 1e6, kRounding = 1e-12;
  check_finite_from_0(key, factor);
  check(factor <= static_cast<double>(kWidest), key, ": ", factor, ", must be at most ", kWidest);
  const double millionths = factor * kMillion;
  check(std::abs(millionths - std::round(millionths)) <= kRounding * std::max(1.0, millionths), key, ": ",
        fmt::format("{}", factor), ", must have at most six decimal places");
}

void check_capacity(const LayerConfig& layer) {
  check_capacity_factor("layer.capacity_factor", layer.capacity_factor);
  const bool drops = layer.drop_policy != DropPolicy::kNone, bounded = layer.capacity_factor > 0;
  check(!drops || bounded, "layer.drop_policy: needs layer.capacity_factor above 0");
  check(drops || !bounded, "layer.capacity_factor: ", layer.capacity_factor,
        " needs layer.drop_policy \"position\" or \"probability\"");
  check_range("layer.reroute_rounds", layer.reroute_rounds, 0, layer.experts);
  check(drops || layer.reroute_rounds == 0, "layer.reroute_rounds: ", layer.reroute_rounds,
        " needs layer.drop_policy \"position\" or \"probability\"");
  check(drops || layer.capacity_scope == CapacityScope::kGlobal,
        "layer.capacity_scope: \"rank\" needs layer.drop_policy \"position\" or \"probability\"");
  check(drops || !layer.pad_to_capacity,
        "layer.pad_to_capacity: needs layer.drop_policy \"position\" or \"probability\"");
}

void check_groups(const LayerConfig& layer) {
  check_range("layer.groups", layer.groups, 1, layer.experts);
  check_range("layer.groups_kept", layer.groups_kept, 1, layer.groups);
  check(layer.experts % layer.groups == 0, "layer.groups: ", layer.groups, " does not divide layer.experts ",
        layer.experts);
  const std::int64_t open = layer.groups_kept * (layer.experts / layer.groups);
  check(layer.top_k <= open, "layer.top_k: ", layer.top_k, " is more than the ", open, " experts of layer.groups_kept ",
        layer.groups_kept);
}

void check_router(const LayerConfig& layer) {
  check(layer.router_jitter >= 0 && layer.router_jitter < 1, "layer.router_jitter: ", layer.router_jitter,
        ", must be from 0 to below 1");
  check_finite_from_0("layer.router_bias_rate", layer.router_bias_rate);
  check_groups(layer);
  if (layer.router != RouterKind::kRelu) return;
  check(!layer.router_noise, "layer.router_noise: must be false with router \"relu\"");
  check(!layer.router_bias, "layer.router_bias: must be false with router \"relu\"");
  check(layer.groups == 1, "layer.groups: ", layer.groups, ", must be 1 with router \"relu\"");
  check(layer.reroute_rounds == 0, "layer.reroute_rounds: ", layer.reroute_rounds, ", must be 0 with router \"relu\"");
}

void check_losses(const LayerConfig& layer) {
  check_finite_from_0("layer.balance_loss_coeff", layer.balance_loss_coeff);
  check_finite_from_0("layer.z_loss_coeff", layer.z_loss_coeff);
  check_finite_from_0("layer.l1_coeff", layer.l1_coeff);
  check(layer.l1_coeff <= kHighestL1, "layer.l1_coeff: ", layer.l1_coeff, ", must be at most ", kHighestL1);
  if (layer.router != RouterKind::kRelu) return;
  check(layer.balance_loss == BalanceLoss::kNone, "layer.balance_loss: router \"relu\" has its own, must be \"none\"");
  check(layer.z_loss_coeff == 0, "layer.z_loss_coeff: ", layer.z_loss_coeff, ", must be 0 with router \"relu\"");
  check(!layer.norm_topk_prob, "layer.norm_topk_prob: must be false with router \"relu\"");
  check(layer.routed_scaling_factor == 1, "layer.routed_scaling_factor: ", layer.routed_scaling_factor,
        ", must be 1 with router \"relu\"");
}

void check_model(const ModelConfig& model) {
  check_range("model.vocab", model.vocab, 1, kWidest);
  check_range("model.hidden", model.hidden, 1, kWidest);
  check_range("model.layers", model.layers, 1, kDeepest);
  check_range("model.heads", model.heads, 1, kWidest);
  check_range("model.sequence", model.sequence, 1, kWidest);
  check_finite_above_0("model.rope_theta", model.rope_theta);
  check_finite_above_0("model.norm_eps", model.norm_eps);
  check(model.hidden % model.heads == 0, "model.heads: ", model.heads, " does not divide model.hidden ", model.hidden);
  check(model.hidden / model.heads % 2 == 0, "model.heads: ", model.heads, " gives a head ", model.hidden / model.heads,
        " numbers, must be even for RoPE");
}

void check_weights(const ModelConfig& model) {
  const auto experts = static_cast<double>(model.layer.experts + model.layer.shared_experts);
  const double expert = 3.0 * static_cast<double>(model.hidden) * static_cast<double>(model.layer.expert_hidden);
  const double weights = static_cast<double>(model.layers) * experts * expert;
  check(weights <= kMostWeights, "layer.experts: the experts would have ", weights, " weights, at most ", kMostWeights);
}

void check_training(const TrainingConfig& training) {
  check_range("training.steps", training.steps, 1, kMostSteps);
  check_range("training.batch", training.batch, 1, kWidest);
  check_range("training.micro_batch", training.micro_batch, 0, training.batch);
  check(training.micro_batch == 0 || training.batch % training.micro_batch == 0,
        "training.micro_batch: ", training.micro_batch, " does not divide training.batch ", training.batch);
  check(training.seed <= std::numeric_limits<std::int64_t>::max(), "training.seed: ", training.seed, ", at most ",
        std::numeric_limits<std::int64_t>::max());
  check_range("training.warmup_steps", training.warmup_steps, 0, kMostSteps);
  check_finite_from_0("training.learning_rate", training.learning_rate);
  check_finite_from_0("training.final_learning_rate", training.final_learning_rate);
  check(training.beta1 >= 0 && training.beta1 < 1, "training.beta1: ", training.beta1, ", must be from 0 to below 1");
  check(training.beta2 >= 0 && training.beta2 < 1, "training.beta2: ", training.beta2, ", must be from 0 to below 1");
  check_finite_above_0("training.adam_eps", training.adam_eps);
  check_finite_from_0("training.weight_decay", training.weight_decay);
  check_finite_from_0("training.clip", training.clip);
}

/// All tokens of a micro-batch may lie on one rank, and with the ReLU router all experts may be chosen.
void check_choices(const Config& config) {
  const TrainingConfig& training = config.training;
  const LayerConfig& layer = config.model.layer;
  const std::int64_t sequences = training.micro_batch > 0 ? training.micro_batch : training.batch;
  const std::int64_t each = layer.router == RouterKind::kRelu ? layer.experts : layer.top_k;
  const std::int64_t tokens = sequences * config.model.sequence;
  check(tokens <= kMostChoices / each, "training.micro_batch: ", sequences, " sequences of ", config.model.sequence,
        " tokens may choose ", each, " experts each, at most ", kMostChoices, " choices at once");
}

void check_loss_fields(const DataConfig& data) {
  for (const std::string& field : data.loss_fields) {
    check(std::ranges::count(data.fields, field) > 0, "data.loss_fields: \"", field, "\" is not one of data.fields");
  }
}

void check_data(const DataConfig& data, std::int64_t vocab) {
  const bool tokens =
      is_tokens(format_of(data, data.train)) && (data.valid.empty() || is_tokens(format_of(data, data.valid)));
  check(tokens || vocab >= kByteVocab, "model.vocab: ", vocab, ", must be at least ", kByteVocab,
        " where text is read byte by byte");
  check(!data.fields.empty(), "data.fields: is empty, must name at least one field");
  check_loss_fields(data);
  check_range("data.end_token", data.end_token, -1, vocab - 1);
  const bool maths = data.format == DataFormat::kMaths;
  check(!maths || data.train.empty(), "data.format: \"maths\" reads no file, data.train names one");
  check(!maths || data.valid.empty(), "data.format: \"maths\" reads no file, data.valid names one");
}

}  // namespace

void validate(const LayerConfig& layer) {
  check_range("layer.hidden", layer.hidden, 1, kWidest);
  check_range("layer.expert_hidden", layer.expert_hidden, 1, kWidest);
  check_range("layer.experts", layer.experts, 1, kWidest);
  check_range("layer.top_k", layer.top_k, 1, kWidest);
  check(layer.top_k <= layer.experts, "layer.top_k: ", layer.top_k, " is more than layer.experts ", layer.experts);
  check_range("layer.iterations", layer.iterations, 1, kDeepest);
  check_range("layer.shared_experts", layer.shared_experts, 0, kDeepest);
  check_finite_above_0("layer.norm_eps", layer.norm_eps);
  check_finite_above_0("layer.routed_scaling_factor", layer.routed_scaling_factor);
  check_losses(layer);
  check_router(layer);
  check_capacity(layer);
}

void validate(const Config& config) {
  check_model(config.model);
  validate(config.model.layer);
  check(config.model.layer.device == Device::Kind::kCpu,
        "layer.device: \"cuda\" is for coe verify and coe bench layer, a whole model needs \"cpu\"");
  check_weights(config.model);
  check_training(config.training);
  check_choices(config);
  check_data(config.data, config.model.vocab);
  check_range("validation.every", config.validation.every, 0, kMostSteps);
  check_range("validation.sequences", config.validation.sequences, 1, kMostSteps);
  check_capacity_factor("validation.capacity_factor", config.validation.capacity_factor);
  check(config.validation.capacity_factor == 0 || config.model.layer.drop_policy != DropPolicy::kNone,
        "validation.capacity_factor: ", config.validation.capacity_factor,
        " needs layer.drop_policy \"position\" or \"probability\"");
  check_range("distributed.expert_parallel", config.distributed.expert_parallel, 0, kWidest);
  const double deadline = config.distributed.deadline_seconds;
  check(deadline >= 0.001 && deadline <= kLongestDeadline, "distributed.deadline_seconds: ", deadline,
        ", must be from 0.001 to ", kLongestDeadline);
  check_range("distributed.threads", config.distributed.threads, 1, kMostThreads);
  check(!config.output.directory.empty(), "output.directory: is empty, must name a directory");
  check_range("output.checkpoint_every", config.output.checkpoint_every, 0, kMostSteps);
  check_range("output.checkpoints_kept", config.output.checkpoints_kept, kFewestKept, kWidest);
}

}  // namespace coe
