#include "launcher/train/capacity_note.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/layer/layer_size.h"
#include "runtime/model/model_size.h"
#include "runtime/routing/admission.h"

namespace coe {

std::string look_ahead_note(const LayerConfig& layer) {
  if (!looks_ahead(layer)) return {};
  const std::string keys =
      layer.reroute_rounds > 0 ? "layer.reroute_rounds lets" : "layer.drop_policy probability lets";
  return keys +
         " training look ahead: a later token can take an earlier one's expert; validation, eval and generate drop no "
         "choice unless validation.capacity_factor says so";
}

std::string capacity_note(const Config& config) {
  const LayerConfig& layer = config.model.layer;
  if (layer.drop_policy == DropPolicy::kNone) return {};
  const double factor = config.validation.capacity_factor;
  if (factor == 0) return ", without dropping choices";
  return fmt::format(", with capacity factor {}{}", factor, looks_ahead(layer) ? ", looking ahead" : "");
}

std::string padding_note(const Config& config, std::int64_t ranks) {
  if (config.exchange.sizes != MessageSizes::kPadded) return {};
  const std::int64_t wanted = config.distributed.expert_parallel, group = wanted == 0 ? ranks : wanted;
  const LayerConfig& layer = config.model.layer;
  const std::int64_t tokens = training_use(config, ranks).tokens;
  const auto room = [&](const LayerConfig& own) {
    return message_rows(own, Placement(layer.experts, static_cast<int>(group)), tokens, tokens * group);
  };
  const std::int64_t rows = room(layer), judged = room(with_capacity(layer, config.validation.capacity_factor));
  std::string note = fmt::format("each message between GPUs has room for {} rows", rows);
  if (layer.router != RouterKind::kRelu) {
    const double even = static_cast<double>(tokens * layer.top_k) / static_cast<double>(group);
    note += fmt::format(", of which {:.0f} % is padding where routing is even",
                        100 * std::max(0.0, 1 - even / static_cast<double>(rows)));
  }
  return judged == rows ? note : note + fmt::format("; in validation for {}", judged);
}

}  // namespace coe
