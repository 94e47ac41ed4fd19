#include "runtime/config/idle_keys.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "runtime/config/data_format.h"

namespace coe {
namespace {

/// A key, and what keeps it from meaning anything.
struct Idle {
  std::string_view key, reason;
};

void add_layer(const LayerConfig& layer, std::vector<Idle>& idle) {
  const auto add = [&](bool is_idle, std::string_view key, std::string_view reason) {
    if (is_idle) idle.push_back({key, reason});
  };
  add(layer.iterations == 1, "layer.gate", "layer.iterations is 1");
  add(layer.balance_loss == BalanceLoss::kNone, "layer.balance_loss_coeff", "layer.balance_loss is none");
  add(layer.balance_loss_coeff == 0, "layer.balance_loss", "layer.balance_loss_coeff is 0");
  add(!layer.router_bias, "layer.router_bias_rate", "layer.router_bias is false");
  add(layer.router != RouterKind::kRelu, "layer.l1_coeff", "layer.router is not relu");
  add(layer.groups_kept == layer.groups, "layer.groups", "layer.groups_kept is all of them");
  add(layer.groups_kept == layer.groups, "layer.groups_kept", "it is all of layer.groups");
  add(layer.top_k == 1, "layer.norm_topk_prob", "layer.top_k is 1");
}

void add_training(const TrainingConfig& training, std::vector<Idle>& idle) {
  if (training.schedule == Schedule::kConstant)
    idle.push_back({"training.final_learning_rate", "training.schedule is constant"});
  if (training.weight_decay == 0) idle.push_back({"training.decay", "training.weight_decay is 0"});
}

void add_data(const DataConfig& data, std::vector<Idle>& idle) {
  const DataFormat train = format_of(data, data.train),
                   valid = data.valid.empty() ? train : format_of(data, data.valid);
  const auto ends_itself = [](DataFormat format) {
    return format == DataFormat::kJsonl || format == DataFormat::kMaths;
  };
  if (train != DataFormat::kJsonl && valid != DataFormat::kJsonl) idle.push_back({"data.fields", "no data is JSONL"});
  if (data.documents == Documents::kPacked) {
    idle.push_back({"data.end_token", "data.documents is packed"});
  } else if (ends_itself(train) && ends_itself(valid)) {
    idle.push_back({"data.end_token", "this data says where documents end"});
  }
}

void add_device(const Config& config, std::vector<Idle>& idle) {
  if (config.training.device == Device::Kind::kCpu) {
    for (const std::string_view key : {"exchange.devices", "exchange.row_slack", "exchange.sizes", "training.graph"})
      idle.push_back({key, "training.device is cpu"});
    return;
  }
  if (config.exchange.devices == DeviceReach::kMapped)
    idle.push_back({"exchange.sizes", "exchange.devices is mapped, which sends no messages"});
  idle.push_back({"distributed.threads", "experts are on a GPU, which training.device names"});
}

void add_graph(const Config& config, std::int64_t ranks, std::vector<Idle>& idle) {
  if (config.training.device == Device::Kind::kCpu) return;
  const DeviceReach reach = config.exchange.devices;
  if (ranks > 1) {
    idle.push_back({"training.graph", "several ranks meet between their launches"});
  } else if (reach == DeviceReach::kNccl || reach == DeviceReach::kHost) {
    idle.push_back({"training.graph", "messages are part of no graph, and exchange.devices asks for them"});
  }
}

void add_exchange(const Config& config, std::vector<Idle>& idle) {
  if (config.model.layer.drop_policy == DropPolicy::kNone) return;
  idle.push_back(
      {"exchange.chunks", "with layer.drop_policy all tokens of an iteration share places: it is one chunk"});
}

const ConfigEntry& entry_of(const std::vector<ConfigEntry>& entries, std::string_view key) {
  return *std::ranges::find(entries, key, &ConfigEntry::key);
}

}  // namespace

std::string idle_keys(const Config& config, std::int64_t ranks) {
  std::vector<Idle> idle;
  add_layer(config.model.layer, idle);
  add_training(config.training, idle);
  if (ranks == 1) idle.push_back({"training.shard_optimiser", "one rank holds everything"});
  add_data(config.data, idle);
  add_exchange(config, idle);
  add_device(config, idle);
  add_graph(config, ranks, idle);
  static const std::vector<ConfigEntry> kDefaults = entries_of({});
  const std::vector<ConfigEntry> entries = entries_of(config);
  std::string line;
  for (const Idle& one : idle) {
    const ConfigEntry& entry = entry_of(entries, one.key);
    if (entry == entry_of(kDefaults, one.key)) continue;
    line += (line.empty() ? "" : ", ") + entry.key + " " + entry.value + " (" + std::string(one.reason) + ")";
  }
  return line;
}

}  // namespace coe
