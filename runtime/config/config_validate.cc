#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "kernels/memory/error.h"
#include "runtime/config/allowed_words.h"
#include "runtime/config/config.h"
#include "runtime/config/config_keys.h"
#include "runtime/config/data_format.h"
#include "runtime/config/toml_text.h"

namespace coe {
namespace {

constexpr double kMostWeights = 0x1p48;
// Choices and rows of one rank, and the tokens of an expert-parallel group, are indexed by int32.
constexpr std::int64_t kMostIndexed = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kByteVocab = 256;
/// Of what the attention of a GPU does.
constexpr std::int64_t kWidestHead = 128;

/// The value of the key that bounds another one.
std::int64_t value_of(std::string_view bound, const Config& config) {
  std::int64_t value = 0;
  for_each_key(config, [&]<class Member>(std::string_view section, const auto& key, const Member& member) {
    if constexpr (std::is_same_v<Member, std::int64_t>) {
      if (fmt::format("{}.{}", section, key.name) == bound) value = member;
    }
  });
  return value;
}

/// Refuses what the table of keys does not allow.
struct KeyCheck {
  const Config& config;

  template <class Section, class Member, class Allowed>
  void operator()(std::string_view section, const Key<Section, Member, Allowed>& key, const Member& value) const {
    const std::string name = fmt::format("{}.{}", section, key.name);
    if constexpr (std::is_same_v<Allowed, Whole>) {
      const std::int64_t bound = value_of(key.allowed.bound, config);
      check(admits(key.allowed, static_cast<std::int64_t>(value), bound), name, ": ", value, ", must be ",
            words_of(key.allowed, bound));
    } else if constexpr (!std::is_same_v<Allowed, OfItsType>) {
      check(admits(key.allowed, value), name, ": ", toml_text(value), ", must be ", allowed_words(key));
    }
  }
};

void check_capacity(const LayerConfig& layer) {
  const bool drops = layer.drop_policy != DropPolicy::kNone, bounded = layer.capacity_factor > 0;
  check(!drops || bounded, "layer.drop_policy: needs layer.capacity_factor above 0");
  check(drops || !bounded, "layer.capacity_factor: ", layer.capacity_factor,
        " needs layer.drop_policy \"position\" or \"probability\"");
  check(drops || layer.reroute_rounds == 0, "layer.reroute_rounds: ", layer.reroute_rounds,
        " needs layer.drop_policy \"position\" or \"probability\"");
  check(drops || layer.capacity_scope == CapacityScope::kGlobal,
        "layer.capacity_scope: \"rank\" needs layer.drop_policy \"position\" or \"probability\"");
  check(drops || !layer.pad_to_capacity,
        "layer.pad_to_capacity: needs layer.drop_policy \"position\" or \"probability\"");
}

void check_groups(const LayerConfig& layer) {
  check(layer.experts % layer.groups == 0, "layer.groups: ", layer.groups, " does not divide layer.experts ",
        layer.experts);
  const std::int64_t open = layer.groups_kept * (layer.experts / layer.groups);
  check(layer.top_k <= open, "layer.top_k: ", layer.top_k, " is more than the ", open, " experts of layer.groups_kept ",
        layer.groups_kept);
}

void check_router(const LayerConfig& layer) {
  check_groups(layer);
  if (layer.router != RouterKind::kRelu) return;
  check(!layer.router_noise, "layer.router_noise: must be false with router \"relu\"");
  check(!layer.router_bias, "layer.router_bias: must be false with router \"relu\"");
  check(layer.groups == 1, "layer.groups: ", layer.groups, ", must be 1 with router \"relu\"");
  check(layer.reroute_rounds == 0, "layer.reroute_rounds: ", layer.reroute_rounds, ", must be 0 with router \"relu\"");
}

void check_losses(const LayerConfig& layer) {
  if (layer.router != RouterKind::kRelu) return;
  check(layer.balance_loss == BalanceLoss::kNone, "layer.balance_loss: router \"relu\" has its own, must be \"none\"");
  check(layer.z_loss_coeff == 0, "layer.z_loss_coeff: ", layer.z_loss_coeff, ", must be 0 with router \"relu\"");
  check(!layer.norm_topk_prob, "layer.norm_topk_prob: must be false with router \"relu\"");
  check(layer.routed_scaling_factor == 1, "layer.routed_scaling_factor: ", layer.routed_scaling_factor,
        ", must be 1 with router \"relu\"");
}

void check_model(const ModelConfig& model) {
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
  check(training.micro_batch == 0 || training.batch % training.micro_batch == 0,
        "training.micro_batch: ", training.micro_batch, " does not divide training.batch ", training.batch);
}

void check_device(const Config& config) {
  const TrainingConfig& training = config.training;
  if (training.device == Device::Kind::kCpu) {
    check(training.dtype == Precision::kF32, "training.dtype: \"bf16\" needs training.device \"cuda\"");
    return;
  }
  check(config.exchange.order == ExchangeOrder::kExact,
        "exchange.order: must be \"exact\" with training.device \"cuda\"");
  check(config.exchange.sizes == MessageSizes::kHost || config.model.layer.drop_policy != DropPolicy::kNone,
        "exchange.sizes: \"padded\" needs layer.drop_policy, whose capacity it is padded to");
  const std::int64_t width = config.model.hidden / config.model.heads;
  check(width <= kWidestHead, "model.heads: ", config.model.heads, " gives a head ", width, " numbers, at most ",
        kWidestHead, " with training.device \"cuda\"");
}

void check_indexed(std::string_view what, std::int64_t count, std::int64_t ranks, const TrainingConfig& training) {
  check(count <= kMostIndexed, "training.micro_batch: ", training.sequences_at_once(), " sequences over ", ranks,
        " ranks give a rank up to ", count, " ", what, ", at most ", kMostIndexed);
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
  check_loss_fields(data);
  const bool maths = data.format == DataFormat::kMaths;
  check(!maths || data.train.empty(), "data.format: \"maths\" reads no file, data.train names one");
  check(!maths || data.valid.empty(), "data.format: \"maths\" reads no file, data.valid names one");
}

void check_layer(const LayerConfig& layer) {
  check_losses(layer);
  check_router(layer);
  check_capacity(layer);
}

}  // namespace

void validate(const LayerConfig& layer) {
  Config whole;
  whole.model.layer = layer;
  check(admits(kWidth, layer.hidden, 0), "layer.hidden: ", layer.hidden, ", must be ", words_of(kWidth));
  check(admits(kAbove0, layer.norm_eps), "layer.norm_eps: ", layer.norm_eps, ", must be ", words_of(kAbove0));
  for_each_key("layer", whole.model.layer, kLayerKeys, KeyCheck{whole});
  check_layer(layer);
}

void validate(const Config& config) {
  for_each_key(config, KeyCheck{config});
  check_model(config.model);
  check_layer(config.model.layer);
  check_weights(config.model);
  check_training(config.training);
  check_device(config);
  check_data(config.data, config.model.vocab);
  check(config.validation.capacity_factor == 0 || config.model.layer.drop_policy != DropPolicy::kNone,
        "validation.capacity_factor: ", config.validation.capacity_factor,
        " needs layer.drop_policy \"position\" or \"probability\"");
}

void check_share(const Config& config, std::int64_t ranks) {
  const TrainingConfig& training = config.training;
  const LayerConfig& layer = config.model.layer;
  const std::int64_t wanted = config.distributed.expert_parallel, group = wanted == 0 ? ranks : wanted;
  const auto parts = [](std::int64_t whole, std::int64_t of) { return (whole + of - 1) / of; };
  const std::int64_t tokens = parts(training.sequences_at_once(), ranks) * config.model.sequence;
  const std::int64_t experts = parts(layer.experts, group), all_tokens = tokens * group;
  // The ReLU router may choose all experts.
  const std::int64_t each = layer.router == RouterKind::kRelu ? layer.experts : layer.top_k;
  check_indexed("tokens of its expert-parallel group", all_tokens, ranks, training);
  check_indexed("choices", tokens * each, ranks, training);
  check_indexed("rows", all_tokens * std::min(each, experts), ranks, training);  // validation may drop none
  if (!layer.pad_to_capacity) return;
  const double even = static_cast<double>(all_tokens * layer.top_k) / static_cast<double>(layer.experts);
  const double rows = static_cast<double>(experts) * (layer.capacity_factor * even + static_cast<double>(group));
  check_indexed("rows with padding", static_cast<std::int64_t>(std::min(rows, kMostWeights)), ranks, training);
}

}  // namespace coe
