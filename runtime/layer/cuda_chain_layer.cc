#include "runtime/layer/cuda_chain_layer.h"

#include <algorithm>
#include <limits>

#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/copy.h"
#include "runtime/layer/device_experts.h"
#include "runtime/routing/admission.h"

namespace coe {
namespace {

/// Rows that an expert may take of all ranks' tokens, 0 where any number: with rank scope every rank rounds up.
std::int64_t most_of_an_expert(const LayerConfig& config, std::int64_t tokens, int ranks) {
  if (config.drop_policy == DropPolicy::kNone) return 0;
  return capacity_of(config, tokens) + (config.capacity_scope == CapacityScope::kRank ? ranks - 1 : 0);
}

constexpr std::int64_t kMostChosen = 64, kMostExperts = 1024;
constexpr std::size_t kPlace = 64;  // bytes that each small tensor has to itself

void require(bool condition, std::string_view what) {
  check(condition, "layer.device: \"cuda\" does not do ", what, " yet; \"cpu\" does");
}

}  // namespace

void check_cuda_layer(const LayerConfig& config) {
  require(config.top_k <= kMostChosen && config.groups <= kMostChosen, "top_k or groups above 64");
  require(config.experts <= kMostExperts, "more than 1024 experts");
}

void check_cuda_device() {
  check(cuda_devices() > 0,
        "device cuda: no CUDA device can be used here (it takes a build with -DCOE_CUDA=ON and a GPU)");
}

DeviceRoom room_of(const LayerConfig& config, const Placement& placement, std::int64_t tokens, DType dtype) {
  const std::int64_t limit = most_of_an_expert(config, tokens, placement.ranks());
  const std::int64_t each = config.router == RouterKind::kRelu ? config.experts : config.top_k;
  const std::int64_t rows =
      config.pad_to_capacity ? placement.experts_of(0).count * limit : most_rows(placement, tokens, each, limit);
  check(rows <= std::numeric_limits<std::int32_t>::max(), "device exchange: a rank may get ", rows,
        " rows, at most 2^31 - 1");
  return {.rows = rows,
          .hidden = config.hidden,
          .experts = config.experts,
          .slots = static_cast<int>(config.iterations),
          .dtype = dtype,
          .scores = config.drop_policy == DropPolicy::kProbability ? tokens * each : 0,
          .rounds = static_cast<int>(config.reroute_rounds) + 1};
}

CudaChainLayer::CudaChainLayer(const LayerConfig& config, int layer, const CudaChainContext& context)
    : config_(config), layer_(layer), context_(context), saved_(static_cast<std::size_t>(config.iterations)) {
  check_cuda_layer(config);
  require(context.groups->replicas().size() == 1, "data parallelism");
  for (int t = 0; t < iterations(); ++t) gates_.emplace_back(config, layer, t, context.weights->gate(t));
  const Placement& placement = *context.placement;
  for (int r = 0; r < placement.ranks(); ++r) {
    host_first_.push_back(static_cast<std::int32_t>(placement.experts_of(r).first));
  }
  // A rank beside it that holds all experts.
  for (const std::int64_t first : {config.experts, std::int64_t{0}, config.experts}) {
    host_first_.push_back(static_cast<std::int32_t>(first));
  }
  const Device device = stream().device();
  memory_ = Buffer(2 * kPlace + host_first_.size() * sizeof(std::int32_t), device);
  loss_ = {memory_.data(), DType::kF64, {1}, device};
  none_ = {memory_.data() + kPlace, DType::kI32, {1}, device};
  const Tensor firsts(memory_.data() + 2 * kPlace, DType::kI32, {placement.ranks() + 3}, device);
  first_ = firsts.rows(0, placement.ranks() + 1);
  all_ = firsts.rows(placement.ranks() + 1, 2);
  copy(Tensor(&host_none_, DType::kI32, {1}), none_, stream());
  copy(Tensor(host_first_.data(), DType::kI32, firsts.shape()), firsts, stream());
}

Tensor CudaChainLayer::forward(const Tensor& x, const Batch& batch, const RoutingContext& context, Arena& arena) {
  begin_forward(x, batch, context, arena);
  for (int stage = 0; stage < forward_stages(); ++stage) forward_stage(stage, arena);
  return y_;
}

void CudaChainLayer::begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context,
                                   Arena& /*arena*/) {
  const DeviceRoom needed = room_of(config_, *context_.placement, batch.group_tokens(), context_.weights->dtype());
  check(needed.rows <= context_.exchange->room().rows && needed.scores <= context_.exchange->room().scores,
        "cuda chain layer: ", batch.group_tokens(), " tokens may need ", needed.rows,
        " rows, the exchange has room for ", context_.exchange->room().rows);
  const bool alone = config_.capacity_scope == CapacityScope::kRank;
  check(!alone || batch.tokens() * context_.exchange->ranks() == batch.group_tokens(),
        "cuda chain layer: with capacity_scope \"rank\" every rank must have as many tokens; this one has ",
        batch.tokens(), " of ", batch.group_tokens());
  require(!context.capacity_factor, "a capacity of its own where nothing is trained");
  batch_ = batch;
  routing_ = context;
  x_ = y_ = x;
  clear(loss_, stream());
}

void CudaChainLayer::forward_stage(int stage, Arena& arena) {
  StreamMeeting& meeting = context_.exchange->meeting();
  const int t = stage / stages_each(), part = stage % stages_each();
  if (part == 0) {
    if (t > 0) meeting.follow(stream(), phase("combine", t - 1));
    if (t > 0) y_ = combine(t - 1, arena);
    if (t == iterations()) return;
    route(t, y_, arena);
  } else if (part <= rounds() + 1) {
    meeting.follow(stream(), phase(part == 1 ? "plan" : "admission", t));
    if (part == 1) balance(t, arena);
    part <= rounds() ? reroute(t, part, arena) : dispatch(t, arena);
  } else {
    meeting.follow(stream(), phase("dispatch", t));
    compute(t, arena);
  }
  meeting.arrive(stream());
}

cuda::BucketLimit CudaChainLayer::limit() const {
  if (config_.drop_policy == DropPolicy::kNone) return {};
  const bool alone = config_.capacity_scope == CapacityScope::kRank;
  const std::int64_t capacity = capacity_of(config_, alone ? batch_.tokens() : batch_.group_tokens());
  const std::int64_t rows = most_of_an_expert(config_, batch_.group_tokens(), context_.exchange->ranks());
  return {static_cast<std::int32_t>(capacity), alone, config_.pad_to_capacity ? static_cast<std::int32_t>(rows) : 0};
}

void CudaChainLayer::route(int t, const Tensor& x, Arena& arena) {
  DeviceIteration& state = saved(t);
  state = {};
  state.x = state.normed = x;
  if (config_.iteration_norm) {
    state.normed = arena.make(x.dtype(), x.shape());
    state.inverse_rms = arena.make<float>({x.extent(0)});
    cuda::rms_norm(x, context_.weights->norm(t).value, config_.norm_eps, state.normed, state.inverse_rms, stream());
  }
  state.routed = gate(t).forward(state.normed, batch_, routing_.random, none_, arena, stream());
  state.plan = count_choices(state.routed.choices, {}, config_.experts, arena, stream());
  const DeviceExchange& exchange = *context_.exchange;
  if (!grants()) return exchange.tell(state.plan.totals, 0, stream());
  state.asks = asks_of(state.routed.choices, arena);
  state.taken = arena.make<std::int32_t>(exchange.table(0).shape());
  clear(state.taken, stream());
  ask_for_places(config_.drop_policy, state.asks, state.plan, 0, all_, exchange, arena, stream());
}

void CudaChainLayer::balance(int t, Arena& arena) {
  gate(t).balance(saved(t).routed, context_.exchange->table(0), batch_, routing_.l1_coeff, loss_, arena, stream());
}

void CudaChainLayer::grant(int t, int round, Arena& arena) {
  const DeviceIteration& state = saved(t);
  grant_places(config_.drop_policy, round == 0 ? state.asks : state.standbys.asks, round, limit(), state.taken,
               *context_.exchange, arena, stream());
}

void CudaChainLayer::reroute(int t, int round, Arena& arena) {
  DeviceIteration& state = saved(t);
  grant(t, round - 1, arena);
  if (round == 1) state.standbys = stand_by(state.routed.choices, arena, stream());
  ArenaScope scratch(arena);
  const DevicePlan asked =
      ask_next_best(gate(t), state.routed, state.asks.granted, round, state.standbys, arena, stream());
  ask_for_places(config_.drop_policy, state.standbys.asks, asked, round, all_, *context_.exchange, arena, stream());
}

void CudaChainLayer::dispatch(int t, Arena& arena) {
  DeviceIteration& state = saved(t);
  const DeviceExchange& exchange = *context_.exchange;
  Tensor table = exchange.table(0);
  cuda::BucketLimit places = limit();
  if (grants()) {
    grant(t, rounds(), arena);
    state.plan = rounds() == 0
                     ? count_choices(state.routed.choices, state.asks.granted, config_.experts, arena, stream())
                     : merge_standbys(gate(t), state.asks.granted, state.standbys, state.routed, arena, stream());
    table = state.taken;
    places.capacity = cuda::BucketLimit{}.capacity;  // nothing is left to drop
  }
  place_choices(state.routed.choices, table, first_, *context_.placement, exchange.rank(), places, state.plan, arena,
                stream());
  if (config_.pad_to_capacity) clear_padding(state.plan, exchange.arrived(t), {}, stream());
  cuda::scatter_rows(state.normed, {}, state.plan.rows, exchange.arrived_blocks(t), stream());
}

void CudaChainLayer::compute(int t, Arena& arena) {
  DeviceIteration& state = saved(t);
  const DeviceExchange& exchange = *context_.exchange;
  const Tensor& rows = exchange.arrived(t);
  state.ab = arena.make(rows.dtype(), {rows.extent(0), 2 * config_.expert_hidden});
  experts_forward(context_.weights->experts(), rows, state.plan.buckets.row_offsets, state.ab, exchange.results().rows,
                  arena, stream());
}

Tensor CudaChainLayer::combine(int t, Arena& arena) {
  DeviceIteration& state = saved(t);
  const Tensor out = arena.make(state.x.dtype(), state.x.shape());
  Tensor shared;
  if (const auto& weights = context_.weights->shared()) {
    state.shared_ab = arena.make(out.dtype(), {out.extent(0), weights->gate_up.value.extent(1)});
    shared = out;
    shared_forward(*weights, state.normed, state.shared_ab, out, arena, stream());
  }
  Tensor residual;
  if (config_.residual == Residual::kInner) residual = state.x;
  if (config_.residual == Residual::kOuter && t + 1 == iterations()) residual = x_;
  cuda::combine_rows(context_.exchange->result_blocks(), state.plan.rows, state.routed.choices.weight, shared, residual,
                     state.routed.lost, out, stream());
  return out;
}

void CudaChainLayer::backward(const Tensor& dy, const Tensor& dx, Arena& arena) {
  begin_backward(dy, dx, arena);
  for (int stage = 0; stage < backward_stages(); ++stage) backward_stage(stage, arena);
}

void CudaChainLayer::begin_backward(const Tensor& dy, const Tensor& dx, Arena& /*arena*/) {
  expect_shape("cuda chain layer: dy", dy, x_.shape());
  expect_shape("cuda chain layer: dx", dx, x_.shape());
  dy_ = upstream_ = dy;
  dx_ = dx;
}

void CudaChainLayer::backward_stage(int stage, Arena& arena) {
  StreamMeeting& meeting = context_.exchange->meeting();
  const int t = iterations() - 1 - stage / 2;
  if (stage % 2 == 0) {
    if (stage > 0) {
      meeting.follow(stream(), phase("backward combine", t + 1));
      finish_gradient(t + 1, arena);
    }
    if (t < 0) return;
    send_gradient(t);
  } else {
    meeting.follow(stream(), phase("backward dispatch", t));
    compute_gradient(t, arena);
  }
  meeting.arrive(stream());
}

void CudaChainLayer::send_gradient(int t) {
  const DeviceIteration& state = saved(t);
  const DeviceRows& own = context_.exchange->upstream();
  if (config_.pad_to_capacity) clear_padding(state.plan, own.rows, own.scalar, stream());
  cuda::scatter_rows(upstream_, state.routed.choices.weight, state.plan.rows, context_.exchange->upstream_blocks(),
                     stream());
}

void CudaChainLayer::compute_gradient(int t, Arena& arena) {
  const DeviceIteration& state = saved(t);
  const DeviceExchange& exchange = *context_.exchange;
  experts_backward(context_.weights->experts(), exchange.arrived(t), state.plan.buckets.row_offsets, state.ab,
                   exchange.upstream(), exchange.results(), arena, stream());
}

void CudaChainLayer::finish_gradient(int t, Arena& arena) {
  const DeviceIteration& state = saved(t);
  const cuda::RowBlocks& results = context_.exchange->result_blocks();
  const Tensor dx = t == 0 ? dx_ : arena.make(dx_.dtype(), dx_.shape());
  const Tensor dnormed = config_.iteration_norm ? arena.make(dx.dtype(), dx.shape()) : dx;
  const Tensor dweight = arena.make<float>(state.routed.choices.weight.shape());
  Tensor shared;
  if (const auto& weights = context_.weights->shared()) {
    shared = dnormed;
    shared_backward(*weights, state.normed, state.shared_ab, upstream_, dnormed, arena, stream());
  }
  Tensor residual;
  if (config_.residual == Residual::kInner) residual = upstream_;
  if (config_.residual == Residual::kOuter && t == 0) residual = dy_;
  const bool normed = config_.iteration_norm;
  cuda::combine_rows(results, state.plan.rows, {}, shared, normed ? Tensor() : residual, {}, dnormed, stream());
  cuda::collect_scalars(results, state.plan.rows, dweight, stream());
  gate(t).backward(state.routed, batch_, dweight, dnormed, arena, stream());
  if (normed) {
    const TrainedTensor& norm = context_.weights->norm(t);
    ArenaScope scratch(arena);
    const Tensor partial = arena.make<float>({cuda::kNormParts, config_.hidden});
    residual.elements() > 0 ? copy(residual, dx, stream()) : clear(dx, stream());
    cuda::rms_norm_backward(state.x, norm.value, state.inverse_rms, dnormed, dx, norm.gradient, partial, stream());
  }
  upstream_ = dx;
}

}  // namespace coe
