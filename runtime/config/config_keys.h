#pragma once

#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "runtime/config/config.h"

namespace coe {

/// One key of a section and the member that it sets.
template <class Section, class Member>
struct Key {
  std::string_view name;
  Member Section::*member;
};
template <class Section, class Member>
Key(const char*, Member Section::*) -> Key<Section, Member>;

/// The keys of each section in the order in which they are written. What a model fills in itself (layer.hidden,
/// layer.norm_eps, layer.iteration_norm) is no key.
inline constexpr std::tuple kModelKeys = {
    Key{"vocab", &ModelConfig::vocab},       Key{"hidden", &ModelConfig::hidden},
    Key{"layers", &ModelConfig::layers},     Key{"heads", &ModelConfig::heads},
    Key{"sequence", &ModelConfig::sequence}, Key{"rope_theta", &ModelConfig::rope_theta},
    Key{"norm_eps", &ModelConfig::norm_eps}, Key{"residual_stream", &ModelConfig::residual_stream},
};
inline constexpr std::tuple kLayerKeys = {
    Key{"expert_hidden", &LayerConfig::expert_hidden},
    Key{"experts", &LayerConfig::experts},
    Key{"top_k", &LayerConfig::top_k},
    Key{"iterations", &LayerConfig::iterations},
    Key{"router", &LayerConfig::router},
    Key{"gate", &LayerConfig::gate},
    Key{"residual", &LayerConfig::residual},
    Key{"shared_experts", &LayerConfig::shared_experts},
    Key{"router_noise", &LayerConfig::router_noise},
    Key{"router_jitter", &LayerConfig::router_jitter},
    Key{"router_bias", &LayerConfig::router_bias},
    Key{"router_bias_rate", &LayerConfig::router_bias_rate},
    Key{"groups", &LayerConfig::groups},
    Key{"groups_kept", &LayerConfig::groups_kept},
    Key{"norm_topk_prob", &LayerConfig::norm_topk_prob},
    Key{"routed_scaling_factor", &LayerConfig::routed_scaling_factor},
    Key{"balance_loss", &LayerConfig::balance_loss},
    Key{"balance_loss_coeff", &LayerConfig::balance_loss_coeff},
    Key{"z_loss_coeff", &LayerConfig::z_loss_coeff},
    Key{"l1_coeff", &LayerConfig::l1_coeff},
    Key{"drop_policy", &LayerConfig::drop_policy},
    Key{"capacity_factor", &LayerConfig::capacity_factor},
    Key{"capacity_scope", &LayerConfig::capacity_scope},
    Key{"reroute_rounds", &LayerConfig::reroute_rounds},
    Key{"pad_to_capacity", &LayerConfig::pad_to_capacity},
    Key{"device", &LayerConfig::device},
};
inline constexpr std::tuple kTrainingKeys = {
    Key{"steps", &TrainingConfig::steps},
    Key{"batch", &TrainingConfig::batch},
    Key{"micro_batch", &TrainingConfig::micro_batch},
    Key{"seed", &TrainingConfig::seed},
    Key{"learning_rate", &TrainingConfig::learning_rate},
    Key{"warmup_steps", &TrainingConfig::warmup_steps},
    Key{"schedule", &TrainingConfig::schedule},
    Key{"final_learning_rate", &TrainingConfig::final_learning_rate},
    Key{"beta1", &TrainingConfig::beta1},
    Key{"beta2", &TrainingConfig::beta2},
    Key{"adam_eps", &TrainingConfig::adam_eps},
    Key{"weight_decay", &TrainingConfig::weight_decay},
    Key{"decay", &TrainingConfig::decay},
    Key{"clip", &TrainingConfig::clip},
    Key{"non_finite", &TrainingConfig::non_finite},
    Key{"recompute", &TrainingConfig::recompute},
};
inline constexpr std::tuple kDataKeys = {
    Key{"train", &DataConfig::train},
    Key{"valid", &DataConfig::valid},
    Key{"format", &DataConfig::format},
    Key{"fields", &DataConfig::fields},
    Key{"loss_fields", &DataConfig::loss_fields},
    Key{"documents", &DataConfig::documents},
    Key{"end_token", &DataConfig::end_token},
};
inline constexpr std::tuple kValidationKeys = {
    Key{"every", &ValidationConfig::every},
    Key{"sequences", &ValidationConfig::sequences},
    Key{"capacity_factor", &ValidationConfig::capacity_factor},
};
inline constexpr std::tuple kDistributedKeys = {
    Key{"expert_parallel", &DistributedConfig::expert_parallel},
    Key{"deadline_seconds", &DistributedConfig::deadline_seconds},
    Key{"disk_deadline_seconds", &DistributedConfig::disk_deadline_seconds},
    Key{"threads", &DistributedConfig::threads},
};
inline constexpr std::tuple kExchangeKeys = {
    Key{"order", &ExchangeConfig::order},
};
inline constexpr std::tuple kOutputKeys = {
    Key{"directory", &OutputConfig::directory},
    Key{"checkpoint_every", &OutputConfig::checkpoint_every},
    Key{"checkpoints_kept", &OutputConfig::checkpoints_kept},
};

/// The words of an enum in a file, in the order of its values.
template <class Enum>
inline constexpr std::array<std::string_view, 0> kWords = {};
template <>
inline constexpr std::array kWords<RouterKind> = {std::string_view("softmax_topk"), std::string_view("sigmoid_topk"),
                                                  std::string_view("relu")};
template <>
inline constexpr std::array kWords<GateSharing> = {std::string_view("independent"), std::string_view("shared")};
template <>
inline constexpr std::array kWords<Residual> = {std::string_view("inner"), std::string_view("outer"),
                                                std::string_view("none")};
template <>
inline constexpr std::array kWords<ResidualStream> = {std::string_view("authors"), std::string_view("prenorm")};
template <>
inline constexpr std::array kWords<BalanceLoss> = {std::string_view("none"), std::string_view("sequence"),
                                                   std::string_view("batch")};
template <>
inline constexpr std::array kWords<DropPolicy> = {std::string_view("none"), std::string_view("position"),
                                                  std::string_view("probability")};
template <>
inline constexpr std::array kWords<CapacityScope> = {std::string_view("global"), std::string_view("rank")};
template <>
inline constexpr std::array kWords<Device::Kind> = {std::string_view("cpu"), std::string_view("cuda")};
template <>
inline constexpr std::array kWords<ExchangeOrder> = {std::string_view("exact"), std::string_view("partial-sums")};
template <>
inline constexpr std::array kWords<Decay> = {std::string_view("all"), std::string_view("matrices")};
template <>
inline constexpr std::array kWords<OnNonFinite> = {std::string_view("stop"), std::string_view("skip")};
template <>
inline constexpr std::array kWords<Recompute> = {std::string_view("none"), std::string_view("attention"),
                                                 std::string_view("layer")};
template <>
inline constexpr std::array kWords<Schedule> = {std::string_view("constant"), std::string_view("cosine")};
template <>
inline constexpr std::array kWords<DataFormat> = {std::string_view("auto"),   std::string_view("maths"),
                                                  std::string_view("text"),   std::string_view("jsonl"),
                                                  std::string_view("tokens"), std::string_view("tokens32")};
template <>
inline constexpr std::array kWords<Documents> = {std::string_view("packed"), std::string_view("separate")};

/// Calls visit(key name, member) for every key of `section`.
template <class Section, class Visit, class... Keys>
void for_each_key(Section& section, const std::tuple<Keys...>& keys, Visit&& visit) {
  std::apply([&](const auto&... key) { (visit(key.name, section.*key.member), ...); }, keys);
}

/// Calls visit(section name, key name, member) for every key of a Config, const or not.
template <class AnyConfig, class Visit>
void for_each_key(AnyConfig& config, Visit&& visit) {
  const auto in = [&](std::string_view section) {
    return [&visit, section](std::string_view key, auto& member) { visit(section, key, member); };
  };
  for_each_key(config.model, kModelKeys, in("model"));
  for_each_key(config.model.layer, kLayerKeys, in("layer"));
  for_each_key(config.training, kTrainingKeys, in("training"));
  for_each_key(config.data, kDataKeys, in("data"));
  for_each_key(config.validation, kValidationKeys, in("validation"));
  for_each_key(config.distributed, kDistributedKeys, in("distributed"));
  for_each_key(config.exchange, kExchangeKeys, in("exchange"));
  for_each_key(config.output, kOutputKeys, in("output"));
}

}  // namespace coe
