#include "runtime/model/model.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "kernels/decoder/embedding.h"
#include "kernels/decoder/rms_norm.h"
#include "kernels/decoder/rope.h"
#include "kernels/memory/copy.h"
#include "kernels/routing/rows.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/read_back.h"
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

int chunks_of(const LayerConfig& layer, const ModelUse& use) {
  return layer.drop_policy == DropPolicy::kNone ? use.chunks : 1;
}

std::int64_t divided(std::int64_t total, std::int64_t parts) { return (total + parts - 1) / parts; }

/// The most that the group has in one chunk.
std::int64_t chunk_tokens(const ModelConfig& model, const RankGroups& groups, const ModelUse& use, int chunks) {
  const std::int64_t mine =
      chunks == 1 ? use.tokens : divided(divided(use.tokens, model.sequence), chunks) * model.sequence;
  return mine * groups.experts().size();
}

/// Of one chunk, in training or, where that needs more, in validation; on a device, where nobody can count them,
/// as many as there is room for.
std::int64_t expert_rows(const ModelConfig& model, const RankGroups& groups, std::span<const Placement> placements,
                         const ModelUse& use, const RowRoom& room) {
  if (use.tokens == 0) return 0;
  const int chunks = chunks_of(model.layer, use), ranks = groups.experts().size();
  const auto rows = [&](const LayerConfig& config) {
    if (use.stream->device() == kCpu) {
      return divided(layer_size(config, {.tokens = use.tokens, .ranks = ranks, .learning = use.trained}).rows, chunks);
    }
    std::int64_t most = 0;
    for (const Placement& one : placements) {
      most = std::max(most, room.rows(config, one, chunk_tokens(model, groups, use, chunks)));
    }
    return most;
  };
  return std::max(rows(model.layer), rows(with_capacity(model.layer, use.capacity_factor)));
}

/// Those of the use, or contiguous ones.
std::vector<Placement> placements_of(const ModelConfig& model, const RankGroups& groups, const ModelUse& use) {
  const auto layers = static_cast<std::size_t>(model.layers);
  const int ranks = groups.experts().size();
  if (use.placements.empty()) return std::vector(layers, Placement(model.layer.experts, ranks));
  check(use.placements.size() == layers, "model: there are ", use.placements.size(), " placements for ", layers,
        " layers");
  for (const Placement& one : use.placements) {
    check(one.experts() == model.layer.experts && one.ranks() == ranks, "model: a placement of ", one.experts(),
          " experts over ", one.ranks(), " ranks, there are ", model.layer.experts, " over ", ranks);
  }
  return use.placements;
}

/// Throws kBadInput for a number that is none of the vocabulary's, which a device does not look for.
void check_tokens(const Tensor& tokens, std::int64_t vocab, const char* noun) {
  for (const std::int32_t token : tokens.span<std::int32_t>()) {
    check(token < vocab, "model: ", noun, " is ", token, ", must be below ", vocab);
  }
}

}  // namespace

Model::Model(const ModelConfig& config, const RankGroups& groups, const ModelUse& use)
    : config_(completed(config)),
      groups_(&groups),
      stream_(use.stream),
      dtype_(use.dtype),
      capacity_factor_(use.capacity_factor),
      recompute_(use.recompute),
      placements_(placements_of(config, groups, use)),
      parameters_(model_specs(config_, experts(), expert_order(stream_->device())), use.trained, *stream_, dtype_,
                  weight_sharing(groups, use.shards_state)),
      room_(groups.experts().messages == nullptr ? use.row_slack : 0, *stream_),
      exchange_(make_exchange(
          use.order, groups.experts(), {config.hidden, dtype_},
          ChainLayer::flight_hint(layers_kept(config, use), config.layer.iterations,
                                  expert_rows(config_, groups, placements_, use, room_), chunks_of(config.layer, use)),
          *stream_)),
      workspace_(make_layer_workspace(config_.layer, groups, use.tokens, *stream_, chunks_of(config.layer, use))),
      rope_memory_(static_cast<std::size_t>(config.sequence * config.hidden / config.heads) * sizeof(float),
                   stream_->device()),
      embedding_(trained("model.embed_tokens.weight")),
      head_(config.norm_eps, trained("model.norm.weight"), trained("lm_head.weight"), *stream_),
      routings_(groups.world(), *stream_),
      saved_(static_cast<std::size_t>(config.layers)) {
  make_rope_tables();
  if (stream_->device() != kCpu) times_.there = &clock_.emplace(*stream_);
  const bool alone = groups.world().size() == 1 && groups.world().messages == nullptr;
  if (use.graph && alone && stream_->device() != kCpu) graph_.emplace();
  const std::vector<ExpertIds> held = experts();
  for (int l = 0; l < config.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".", attention = layer + "self_attn.";
    const AttentionWeights weights{trained(layer + "input_layernorm.weight"), trained(attention + "q_proj.weight"),
                                   trained(attention + "k_proj.weight"), trained(attention + "v_proj.weight"),
                                   trained(attention + "o_proj.weight")};
    attentions_.emplace_back(config.heads, config.norm_eps, weights, *stream_);
    if (!config_.layer.iteration_norm) {
      post_attention_norms_.push_back(trained(layer + "post_attention_layernorm.weight"));
    }
    const LayerConfig chain = chain_config(config_);
    const auto at = static_cast<std::size_t>(l);
    const ChainContext context{groups_, &placements_[at], exchange_.get(), &workspace_,
                               &times_, use.threads,      stream_,         &room_};
    chains_.emplace_back(chain, l, context, chain_weights(chain, layer + "mlp.", held[at], parameters_));
  }
  final_from_ = find_final();
}

std::vector<FinalFrom> Model::find_final() const {
  const auto place = [](const Parameter& parameter, const FlatParameters& flat) {
    return (parameter.gradient.raw() - flat.gradient.raw()) / static_cast<std::ptrdiff_t>(sizeof(float));
  };
  const FlatParameters &replicated = parameters_.replicated(), &sharded = parameters_.experts();
  const auto layers = static_cast<std::size_t>(config_.layers);
  std::vector<FinalFrom> all(layers + 1);
  all[layers] = {place(parameters_.at("model.norm.weight"), replicated), sharded.deal.elements()};
  for (std::size_t l = layers; l-- > 0;) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    all[l] = {place(parameters_.at(layer + "input_layernorm.weight"), replicated), all[l + 1].experts};
    for (const Parameter& parameter : parameters_.all()) {
      if (!parameter.expert || !parameter.name.starts_with(layer)) continue;
      all[l].experts = std::min(all[l].experts, static_cast<std::int64_t>(place(parameter, sharded)));
    }
  }
  return all;
}

std::vector<ExpertIds> Model::experts_of(int rank) const {
  std::vector<ExpertIds> held;
  for (const Placement& one : placements_) held.push_back(one.experts_of(rank));
  return held;
}

void Model::make_rope_tables() {
  const Shape shape{2, config_.sequence, config_.hidden / config_.heads / 2};
  const Buffer host(rope_memory_.bytes());
  const Tensor tables(host.data(), DType::kF32, shape);
  rope_table(config_.rope_theta, tables[0], tables[1]);
  const Tensor placed(rope_memory_.data(), DType::kF32, shape, stream_->device());
  copy(tables, placed, *stream_);
  cosine_ = placed[0];
  sine_ = placed[1];
}

TrainedTensor Model::trained(const std::string& name) { return parameters_.at(name).trained(); }

const Routing& Model::last_routing(std::int64_t layer, std::int64_t iteration) const {
  if (recompute_ == Recompute::kLayer) fail(ErrorCode::kInternal, "model: no routing is kept of layers computed again");
  const ChainSaved& chain = saved_[static_cast<std::size_t>(layer)].chain;
  return chain.chunks.front().iterations[static_cast<std::size_t>(iteration)].routed.routing;
}

void Model::clear_times() {
  times_.seconds = {};
  if (clock_) clock_->start();
}

const PartTimes& Model::read_times() {
  if (!clock_) return times_;
  wait(groups_->world(), *stream_, {"reading times"});
  clock_->read([&](const Span& span) {
    times_[span.part] += span.end - span.begin;
    if (times_.trace != nullptr) times_.trace->add(span);
  });
  return times_;
}

void Model::record_routing(RoutingCounter* counter) {
  records_routing_ = counter != nullptr;
  if (records_routing_) room_.hold_all();  // what is done again would be counted twice
  routings_.count_in(counter);
  for (ChainLayer& chain : chains_) chain.record_routing(counter == nullptr ? nullptr : &routings_);
}

Tensor Model::placed(const Tensor& host, Arena& arena) const {
  if (stream_->device() == kCpu) return host;
  const Tensor there = arena.make(host.dtype(), host.shape());
  copy(host, there, *stream_);
  return there;
}

Tensor Model::placed_labels(const Tensor& labels, Arena& arena) const {
  if (stream_->device() != kCpu) check_tokens(labels, config_.vocab, "a label");
  return placed(labels, arena);
}

Model::Call Model::begin(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena) const {
  check(batch.length <= config_.sequence, "model: a sequence of ", batch.length, " tokens, at most ", config_.sequence);
  if (stream_->device() != kCpu) check_tokens(ids, config_.vocab, "a token");
  Call call{batch,
            routing,
            attention_rows(batch, arena, *stream_),
            placed(ids, arena),
            arena.make<double>({1 + config_.layers}),
            arena};
  call.routing.numbers = numbers_of(routing, batch.length, arena, *stream_);
  clear(call.losses, *stream_);
  return call;
}

LossPart Model::losses_of(const Call& call) {
  constexpr Phase kPhase{"reading losses"};
  const std::vector<double> losses = read_back<double>(call.losses, groups_->world(), *stream_, kPhase);
  routings_.finish();
  return {losses.front(), std::accumulate(losses.begin() + 1, losses.end(), 0.0)};
}

Tensor Model::forward(Call& call, Keep keep) {
  Arena& arena = call.arena;
  for (Arena& chunk : workspace_.arenas) chunk.reset();
  const Shape shape{call.batch.tokens(), config_.hidden};
  Tensor h = arena.make(dtype_, shape);
  embedding(call.ids, embedding_.value, h, *stream_);
  for (std::size_t l = 0; l < chains_.size(); ++l) {
    const Tensor result = arena.make(dtype_, shape);
    const Arena::Mark mark = arena.mark();
    const Tensor attended = arena.make(dtype_, shape);
    const Arena::Mark before_saved = arena.mark();
    attention_forward(l, h, attended, call);
    if (!keep.attention) arena.reset(before_saved);
    copy(chain_forward(l, attended, keep.chain, call), result, *stream_);
    if (!keep.chain) arena.reset(mark);
    h = result;
  }
  return h;
}

void Model::attention_forward(std::size_t layer, const Tensor& h, const Tensor& out, Call& call) {
  times_.place = {.layer = static_cast<int>(layer)};
  const PartTimer timer(times_, Part::kAttention);
  attentions_[layer].forward(h, call.where, cosine_, sine_, out, saved_[layer].attention, call.arena);
}

Tensor Model::chain_forward(std::size_t layer, const Tensor& h, bool save, Call& call) {
  LayerSaved& saved = saved_[layer];
  saved.h = h;
  Tensor x = h;
  if (!config_.layer.iteration_norm) {
    const PartTimer timer(times_, Part::kAttention);
    x = call.arena.make(h.dtype(), h.shape());
    saved.inverse_rms = call.arena.make<float>({h.extent(0)});
    rms_norm(h, post_attention_norms_[layer].value, config_.norm_eps, x, saved.inverse_rms, *stream_);
  }
  const ChainOutput output =
      chains_[layer].forward(x, call.batch, call.routing, save ? &saved.chain : nullptr, call.arena);
  copy(output.balance_loss, call.losses.rows(1 + static_cast<std::int64_t>(layer), 1), *stream_);
  if (!config_.layer.iteration_norm && config_.layer.residual == Residual::kOuter) add(h, 1, output.y, *stream_);
  return output.y;
}

void Model::chain_backward(std::size_t layer, const Tensor& d, Call& call) {
  LayerSaved& saved = saved_[layer];
  if (config_.layer.iteration_norm) {
    chains_[layer].backward(d, saved.chain, d, call.arena);
    return;
  }
  ArenaScope scratch(call.arena);
  const Tensor dx = call.arena.make(d.dtype(), d.shape());
  chains_[layer].backward(d, saved.chain, dx, call.arena);
  const PartTimer timer(times_, Part::kAttention);
  if (config_.layer.residual != Residual::kOuter) clear(d, *stream_);
  const TrainedTensor& norm = post_attention_norms_[layer];
  rms_norm_backward(saved.h, norm.value, saved.inverse_rms, dx, d, norm.gradient, call.arena, *stream_);
}

void Model::replay(std::size_t layer, Call& call) {
  const Tensor h = saved_[layer].attention.h, attended = call.arena.make(h.dtype(), h.shape());
  attention_forward(layer, h, attended, call);
  call.routing.replayed = true;
  chain_forward(layer, attended, true, call);
}

void Model::layer_backward(std::size_t layer, const Tensor& d, Call& call) {
  ArenaScope scratch(call.arena);
  if (recompute_ == Recompute::kLayer) replay(layer, call);
  chain_backward(layer, d, call);
  if (recompute_ == Recompute::kAttention) {
    const Tensor h = saved_[layer].attention.h;
    attention_forward(layer, h, call.arena.make(h.dtype(), h.shape()), call);
  }
  times_.place = {.layer = static_cast<int>(layer), .backward = true};
  const PartTimer timer(times_, Part::kAttention);
  attentions_[layer].backward(d, call.where, cosine_, sine_, saved_[layer].attention, call.arena);
}

void Model::logits(const Tensor& ids, const Batch& batch, const Tensor& logits, Arena& arena) {
  ArenaScope scratch(arena);
  Call call = begin(ids, batch, {.capacity_factor = capacity_factor_}, arena);
  const Tensor h = forward(call, {});
  head_.logits(h, batch.length, logits, arena);
}

double Model::loss(const Tensor& ids, const Tensor& labels, const Batch& batch, Arena& arena) {
  ArenaScope scratch(arena);
  Call call = begin(ids, batch, {.capacity_factor = capacity_factor_}, arena);
  const Tensor there = placed_labels(labels, arena), h = forward(call, {});
  {
    times_.place = {};
    const PartTimer timer(times_, Part::kHead);
    head_.add_loss(h, there, batch.length, call.cross_entropy(), arena);
  }
  return losses_of(call).cross_entropy;
}

Tensor Model::activations(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena) {
  Call call = begin(ids, batch, routing, arena);
  return forward(call, {.attention = true, .chain = true});
}

LossPart Model::loss_and_gradients(const Tensor& ids, const Tensor& labels, const Batch& batch, double scale,
                                   const RoutingContext& routing, Arena& arena, const GradientsFinal& final) {
  Call call = begin(ids, batch, routing, arena);
  const Tensor there = placed_labels(labels, arena);
  if (!replays_passes()) {
    pass(call, there, scale, final);
    return losses_of(call);
  }
  // Events of a capture tell no times.
  StreamClock* const clock = std::exchange(times_.there, nullptr);
  const auto seconds = times_.seconds;
  graph_->run(key_of(call, there, scale), *stream_, [&] { pass(call, there, scale, {}); });
  times_.there = clock;
  times_.seconds = seconds;
  if (final) final({});
  return losses_of(call);
}

PassGraph::Key Model::key_of(const Call& call, const Tensor& labels, double scale) const {
  const Batch& batch = call.batch;
  const Arena::Mark mark = call.arena.mark();
  return {.memory = {call.ids.raw(), labels.raw(), call.losses.raw(), call.where.positions.raw(),
                     call.routing.numbers.l1_coeff.raw()},
          .extents = {static_cast<std::int64_t>(mark.block), static_cast<std::int64_t>(mark.offset),
                      call.arena.growths(), growths(), batch.first_sequence, batch.sequences, batch.length,
                      batch.group_sequences, batch.world_sequences, call.routing.random ? 1 : 0},
          .factors = {batch.share, scale},
          .documents = call.where.lengths};
}

void Model::pass(Call& call, const Tensor& labels, double scale, const GradientsFinal& final) {
  const auto tell = [&](const FinalFrom& from) {
    if (final) final(from);
  };
  Arena& arena = call.arena;
  const Batch& batch = call.batch;
  const Keep keep{.attention = recompute_ == Recompute::kNone, .chain = recompute_ != Recompute::kLayer};
  const Tensor h = forward(call, keep);
  const Tensor d = arena.make(h.dtype(), h.shape());
  {
    times_.place = {};
    const PartTimer timer(times_, Part::kHead);
    head_.backward(h, labels, batch.length, static_cast<float>(scale), call.cross_entropy(), d, arena);
  }
  tell(final_from_.back());
  for (std::size_t l = chains_.size(); l-- > 0;) {
    layer_backward(l, d, call);
    tell(final_from_[l]);
  }
  {
    times_.place = {.backward = true};
    const PartTimer timer(times_, Part::kHead);
    embedding_backward(call.ids, d, embedding_.gradient, arena, *stream_);
  }
  tell({});
}

}  // namespace coe
