#include "runtime/model/model_size.h"

#include <algorithm>

#include "runtime/layer/chain_layer.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/deal.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/posted_sums.h"

namespace coe {
namespace {

constexpr std::int64_t kFloat = sizeof(float);

bool on_device(const TrainingUse& use) { return use.device != Device::Kind::kCpu; }

/// The layer as the model runs it.
LayerConfig layer_of(const ModelConfig& model) {
  LayerConfig layer = model.layer;
  layer.hidden = model.hidden;
  layer.iteration_norm = model.residual_stream == ResidualStream::kPrenorm;
  return layer;
}

/// Norm, q, k, v, what is mixed, and the probabilities, or on a device what they are divided by.
std::int64_t attention_floats(const ModelConfig& model, const TrainingUse& use) {
  return use.tokens * (5 * model.hidden + 1 + model.heads * (on_device(use) ? 1 : model.sequence));
}

std::int64_t attention_backward_floats(const ModelConfig& model, const TrainingUse& use) {
  if (on_device(use)) return use.tokens * (5 * model.hidden + model.heads);
  return use.tokens * model.hidden + model.sequence * (4 * model.hidden + model.sequence);
}

/// Final norm, logits of one sequence and what comes back through both.
std::int64_t head_floats(const ModelConfig& model, std::int64_t tokens) {
  return tokens * (2 * model.hidden + 1) + model.sequence * model.vocab;
}

/// Weights of one kind, and those of them that products read in fp32 always.
struct Elements {
  std::int64_t all = 0, unrounded = 0;
};

/// Of weights, gradients, moments, rounded copies and sums of gradients on their way, on one of `holders` ranks that
/// have the same.
std::size_t bytes_of(const Elements& elements, std::int64_t holders, const TrainingUse& use) {
  const Deal deal(elements.all, static_cast<int>(holders), 0);
  const bool pieces = use.shards_state && holders > 1, rounds = use.dtype != DType::kF32;
  const std::int64_t kept = pieces ? deal.own() : deal.elements();
  const std::int64_t values = rounds ? kept : deal.elements();
  const std::int64_t besides = pieces && rounds ? deal.longest() + elements.unrounded : 0;
  const std::int64_t sums = holders > 1 ? static_cast<std::int64_t>(PostedSums::kAtOnce) * deal.longest() : 0;
  const std::int64_t floats = values + deal.elements() + 2 * kept + besides + sums;
  return static_cast<std::size_t>(floats) * sizeof(float) +
         (rounds ? static_cast<std::size_t>(deal.elements()) * size_of(use.dtype) : 0);
}

}  // namespace

std::size_t weight_bytes(const ModelConfig& model, const TrainingUse& use) {
  const Placement placement(model.layer.experts, static_cast<int>(use.ranks));
  ModelConfig whole = model;
  whole.layer = layer_of(model);
  Elements replicated, experts;
  std::int64_t untrained = 0;
  for (const ParameterSpec& spec : model_specs(whole, placement.experts_of(0))) {
    Elements& kind = spec.expert ? experts : replicated;
    (spec.trained ? kind.all : untrained) += spec.shape.elements();
    if (spec.trained && !is_rounded(spec)) kind.unrounded += spec.shape.elements();
  }
  return static_cast<std::size_t>(untrained) * sizeof(float) + bytes_of(replicated, use.ranks * use.replicas, use) +
         bytes_of(experts, use.replicas, use);
}

TrainingUse training_use(const Config& config, std::int64_t ranks) {
  const std::int64_t sequences = (config.training.sequences_at_once() + ranks - 1) / ranks;
  const std::int64_t group = config.distributed.expert_parallel;
  return {.tokens = sequences * config.model.sequence,
          .ranks = group == 0 ? ranks : group,
          .recompute = config.training.recompute,
          .chunks = static_cast<int>(config.model.layer.drop_policy == DropPolicy::kNone ? config.exchange.chunks : 1),
          .device = config.training.device,
          .dtype = dtype_of(config.training.dtype),
          .replicas = group == 0 ? 1 : ranks / group,
          .shards_state = config.training.shard_optimiser};
}

ModelSize model_size(const ModelConfig& model, const TrainingUse& use) {
  const LayerConfig layer = layer_of(model);
  const LayerSize chain = layer_size(layer, {.tokens = use.tokens,
                                             .ranks = use.ranks,
                                             .in_flight = ChainLayer::kInFlight,
                                             .backward = true,
                                             .learning = true});
  const auto saved = static_cast<std::int64_t>(chain.saved_bytes) / kFloat;
  const auto back = static_cast<std::int64_t>(chain.arena_bytes) / kFloat - saved;
  const std::int64_t rows = use.tokens * model.hidden, attention = attention_floats(model, use);
  // The hidden states after attention and, in the authors' wiring, those normed for the chain.
  const std::int64_t between = rows + (layer.iteration_norm ? 0 : rows + use.tokens);
  const bool keeps_attention = use.recompute == Recompute::kNone, keeps_chain = use.recompute != Recompute::kLayer;
  const bool apart = use.chunks > 1;  // what the chain layers save and work on
  const std::int64_t chain_kept = between + (apart ? 0 : saved);
  const std::int64_t work = std::max(apart ? 0 : back, attention_backward_floats(model, use));
  const std::int64_t kept = (keeps_attention ? attention : 0) + (keeps_chain ? chain_kept : 0);
  const std::int64_t again = (keeps_attention ? 0 : attention) + (keeps_chain ? 0 : chain_kept);
  const std::int64_t working = (model.layers + 2) * rows + std::max(head_floats(model, use.tokens), again + work);
  const std::int64_t layers_kept = keeps_chain ? model.layers : 1;
  const FlightHint flights =
      ChainLayer::flight_hint(layers_kept, layer.iterations, (chain.rows + use.chunks - 1) / use.chunks, use.chunks);
  const std::int64_t places = flights.arrivals + flights.results;
  const auto number = static_cast<std::int64_t>(size_of(use.dtype));
  return {.kept_bytes = static_cast<std::size_t>(number * model.layers * kept),
          .working_bytes = static_cast<std::size_t>(number * working),
          .chunk_bytes = static_cast<std::size_t>(apart ? number * (layers_kept * saved + back) : 0),
          .window_bytes = static_cast<std::size_t>(places * flights.rows * (number * model.hidden + kFloat))};
}

}  // namespace coe
