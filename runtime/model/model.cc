#include "runtime/model/model.h"

#include <algorithm>
#include <string>

#include "kernels/decoder/cross_entropy.h"
#include "kernels/decoder/embedding.h"
#include "kernels/decoder/rms_norm.h"
#include "kernels/decoder/rope.h"
#include "kernels/products/linear.h"
#include "kernels/routing/rows.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"
#include "runtime/routing/admission.h"

namespace coe {
namespace {

/// In the authors' wiring the outer residual bridges norm and chain together, so it is the model's and not the layer's.
LayerConfig chain_config(const ModelConfig& model) {
  LayerConfig layer = model.layer;
  layer.hidden = model.hidden;
  layer.norm_eps = model.norm_eps;
  layer.iteration_norm = model.residual_stream == ResidualStream::kPrenorm;
  if (!layer.iteration_norm && layer.residual == Residual::kOuter) layer.residual = Residual::kNone;
  return layer;
}

ModelConfig completed(ModelConfig model) {
  const Residual residual = model.layer.residual;
  model.layer = chain_config(model);
  model.layer.residual = residual;
  return model;
}

/// How many layers' arrived rows wait for a backward at once.
std::int64_t layers_kept(const ModelConfig& config, const ModelUse& use) {
  if (!use.trained) return 0;
  return use.recompute == Recompute::kLayer ? 1 : config.layers;
}

/// In training or, where that needs more, in validation.
std::int64_t expert_rows(const LayerConfig& layer, const RankGroups& groups, const ModelUse& use) {
  if (use.tokens == 0) return 0;
  const auto rows = [&](const LayerConfig& config) {
    return layer_size(config, {.tokens = use.tokens, .ranks = groups.experts().size(), .learning = use.trained}).rows;
  };
  return std::max(rows(layer), rows(with_capacity(layer, use.capacity_factor)));
}

}  // namespace

Model::Model(const ModelConfig& config, const RankGroups& groups, const ModelUse& use)
    : config_(completed(config)),
      groups_(&groups),
      capacity_factor_(use.capacity_factor),
      recompute_(use.recompute),
      placement_(config.layer.experts, groups.experts().size()),
      parameters_(model_specs(config_, placement_.experts_of(groups.experts().rank())), use.trained),
      exchange_(make_exchange(use.order, groups.experts(), config.hidden,
                              ChainLayer::flight_hint(layers_kept(config, use), config.layer.iterations,
                                                      expert_rows(config_.layer, groups, use), use.chunks))),
      workspace_(make_layer_workspace(config_.layer, groups, 0, host_stream(), use.chunks)),
      rope_memory_(static_cast<std::size_t>(config.sequence * config.hidden / config.heads) * sizeof(float)),
      embedding_(trained("model.embed_tokens.weight")),
      final_norm_(trained("model.norm.weight")),
      head_(trained("lm_head.weight")),
      saved_(static_cast<std::size_t>(config.layers)) {
  const Shape table{config.sequence, config.hidden / config.heads / 2};
  cosine_ = Tensor(rope_memory_.data(), DType::kF32, table);
  sine_ = Tensor(rope_memory_.data() + cosine_.bytes(), DType::kF32, table);
  rope_table(config.rope_theta, cosine_, sine_);
  const ExpertIds& experts = placement_.experts_of(groups.experts().rank());
  const ChainContext context{groups_, &placement_, exchange_.get(), &workspace_, &times_, use.threads};
  for (int l = 0; l < config.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".", attention = layer + "self_attn.";
    const AttentionWeights weights{trained(layer + "input_layernorm.weight"), trained(attention + "q_proj.weight"),
                                   trained(attention + "k_proj.weight"), trained(attention + "v_proj.weight"),
                                   trained(attention + "o_proj.weight")};
    attentions_.emplace_back(config.heads, config.norm_eps, weights);
    if (!config_.layer.iteration_norm) {
      post_attention_norms_.push_back(trained(layer + "post_attention_layernorm.weight"));
    }
    const LayerConfig chain = chain_config(config_);
    chains_.emplace_back(chain, l, context, chain_weights(chain, layer + "mlp.", experts, parameters_));
  }
}

TrainedTensor Model::trained(const std::string& name) {
  const Parameter& parameter = parameters_.at(name);
  return {parameter.value, parameter.gradient};
}

const Routing& Model::last_routing(std::int64_t layer, std::int64_t iteration) const {
  if (recompute_ == Recompute::kLayer) fail(ErrorCode::kInternal, "model: no routing is kept of layers computed again");
  const ChainSaved& chain = saved_[static_cast<std::size_t>(layer)].chain;
  return chain.chunks.front().iterations[static_cast<std::size_t>(iteration)].routed.routing;
}

void Model::record_routing(RoutingCounter* counter) {
  for (ChainLayer& chain : chains_) chain.record_routing(counter);
}

Tensor Model::forward(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Keep keep, double& balance,
                      Arena& arena) {
  check(batch.length <= config_.sequence, "model: a sequence of ", batch.length, " tokens, at most ", config_.sequence);
  for (Arena& chunk : workspace_.arenas) chunk.reset();
  Tensor h = arena.make<float>({batch.tokens(), config_.hidden});
  embedding(ids, embedding_.value, h);
  for (std::size_t l = 0; l < chains_.size(); ++l) {
    const Tensor result = arena.make<float>(h.shape());
    const Arena::Mark mark = arena.mark();
    const Tensor attended = arena.make<float>(h.shape());
    const Arena::Mark before_saved = arena.mark();
    attention_forward(l, h, batch, attended, arena);
    if (!keep.attention) arena.reset(before_saved);
    add(chain_forward(l, attended, batch, routing, keep.chain, balance, arena), 0, result);
    if (!keep.chain) arena.reset(mark);
    h = result;
  }
  return h;
}

void Model::attention_forward(std::size_t layer, const Tensor& h, const Batch& batch, const Tensor& out, Arena& arena) {
  const PartTimer timer(times_, Part::kAttention);
  attentions_[layer].forward(h, batch, cosine_, sine_, out, saved_[layer].attention, arena);
}

Tensor Model::chain_forward(std::size_t layer, const Tensor& h, const Batch& batch, const RoutingContext& routing,
                            bool save, double& balance, Arena& arena) {
  LayerSaved& saved = saved_[layer];
  saved.h = h;
  Tensor x = h;
  if (!config_.layer.iteration_norm) {
    const PartTimer timer(times_, Part::kAttention);
    x = arena.make<float>(h.shape());
    saved.inverse_rms = arena.make<float>({h.extent(0)});
    rms_norm(h, post_attention_norms_[layer].value, config_.norm_eps, x, saved.inverse_rms);
  }
  const ChainOutput output = chains_[layer].forward(x, batch, routing, save ? &saved.chain : nullptr, arena);
  balance += *output.balance_loss.data<double>();
  if (!config_.layer.iteration_norm && config_.layer.residual == Residual::kOuter) add(h, 1, output.y);
  return output.y;
}

void Model::chain_backward(std::size_t layer, const Tensor& d, const Batch& batch, Arena& arena) {
  LayerSaved& saved = saved_[layer];
  if (config_.layer.iteration_norm) {
    chains_[layer].backward(d, saved.chain, d, arena);
    return;
  }
  ArenaScope scratch(arena);
  const Tensor dx = arena.make<float>(d.shape());
  chains_[layer].backward(d, saved.chain, dx, arena);
  const PartTimer timer(times_, Part::kAttention);
  if (config_.layer.residual != Residual::kOuter) std::ranges::fill(d.span<float>(), 0.0F);
  const TrainedTensor& norm = post_attention_norms_[layer];
  rms_norm_backward(saved.h, norm.value, saved.inverse_rms, dx, d, norm.gradient);
}

void Model::replay(std::size_t layer, const Batch& batch, const RoutingContext& routing, Arena& arena) {
  ChainLayer& chain = chains_[layer];
  counted_.assign(chain.counters().begin(), chain.counters().end());
  const Tensor h = saved_[layer].attention.h, attended = arena.make<float>(h.shape());
  double counted_before = 0;
  attention_forward(layer, h, batch, attended, arena);
  RoutingContext replayed = routing;
  replayed.replayed = true;
  chain_forward(layer, attended, batch, replayed, true, counted_before, arena);
  for (std::size_t t = 0; t < counted_.size(); ++t) {
    counted_[t].bytes_sent = chain.counters()[t].bytes_sent;
    std::swap(counted_[t], chain.counters()[t]);
  }
}

void Model::layer_backward(std::size_t layer, const Tensor& d, const Batch& batch, const RoutingContext& routing,
                           Arena& arena) {
  ArenaScope scratch(arena);
  if (recompute_ == Recompute::kLayer) replay(layer, batch, routing, arena);
  chain_backward(layer, d, batch, arena);
  if (recompute_ == Recompute::kAttention) {
    const Tensor h = saved_[layer].attention.h;
    attention_forward(layer, h, batch, arena.make<float>(h.shape()), arena);
  }
  const PartTimer timer(times_, Part::kAttention);
  attentions_[layer].backward(d, batch, cosine_, sine_, saved_[layer].attention, arena);
}

void Model::logits(const Tensor& ids, const Batch& batch, const Tensor& logits, Arena& arena) {
  ArenaScope scratch(arena);
  double balance = 0;
  const Tensor h = forward(ids, batch, {.capacity_factor = capacity_factor_}, {}, balance, arena);
  const Tensor normed = arena.make<float>(h.shape()), inverse_rms = arena.make<float>({h.extent(0)});
  rms_norm(h, final_norm_.value, config_.norm_eps, normed, inverse_rms);
  for (std::int64_t t = 0; t < batch.tokens(); t += batch.length) {
    linear(normed.rows(t, batch.length), head_.value, logits.rows(t, batch.length));
  }
}

double Model::loss(const Tensor& ids, const Tensor& labels, const Batch& batch, Arena& arena) {
  ArenaScope scratch(arena);
  double balance = 0, sum = 0;
  const Tensor h = forward(ids, batch, {.capacity_factor = capacity_factor_}, {}, balance, arena);
  const PartTimer timer(times_, Part::kHead);
  const Tensor normed = arena.make<float>(h.shape()), inverse_rms = arena.make<float>({h.extent(0)});
  const Tensor logits = arena.make<float>({batch.length, config_.vocab});
  rms_norm(h, final_norm_.value, config_.norm_eps, normed, inverse_rms);
  for (std::int64_t t = 0; t < batch.tokens(); t += batch.length) {
    linear(normed.rows(t, batch.length), head_.value, logits);
    sum += cross_entropy(logits, labels.rows(t, batch.length));
  }
  return sum;
}

Tensor Model::activations(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena) {
  double balance = 0;
  return forward(ids, batch, routing, {.attention = true, .chain = true}, balance, arena);
}

LossPart Model::loss_and_gradients(const Tensor& ids, const Tensor& labels, const Batch& batch, double scale,
                                   const RoutingContext& routing, Arena& arena) {
  LossPart part;
  const Keep keep{.attention = recompute_ == Recompute::kNone, .chain = recompute_ != Recompute::kLayer};
  const Tensor h = forward(ids, batch, routing, keep, part.balance, arena);
  const Tensor d = arena.zeros<float>(h.shape());
  {
    const PartTimer timer(times_, Part::kHead);
    ArenaScope scratch(arena);
    const Tensor normed = arena.make<float>(h.shape()), inverse_rms = arena.make<float>({h.extent(0)});
    const Tensor dnormed = arena.make<float>(h.shape()), logits = arena.make<float>({batch.length, config_.vocab});
    rms_norm(h, final_norm_.value, config_.norm_eps, normed, inverse_rms);
    for (std::int64_t t = 0; t < batch.tokens(); t += batch.length) {
      const Tensor x = normed.rows(t, batch.length), rows = labels.rows(t, batch.length);
      linear(x, head_.value, logits);
      part.cross_entropy += cross_entropy_backward(logits, rows, static_cast<float>(scale), logits);
      linear_weight_gradient(logits, x, head_.gradient);
      linear_input_gradient(logits, head_.value, 0, dnormed.rows(t, batch.length));
    }
    rms_norm_backward(h, final_norm_.value, inverse_rms, dnormed, d, final_norm_.gradient);
  }
  for (std::size_t l = chains_.size(); l-- > 0;) layer_backward(l, d, batch, routing, arena);
  const PartTimer timer(times_, Part::kHead);
  embedding_backward(ids, d, embedding_.gradient);
  return part;
}

}  // namespace coe
