#include "runtime/layer/chain_layer.h"

#include "kernels/memory/copy.h"
#include "kernels/routing/rows.h"
#include "runtime/ranks/read_back.h"
#include "runtime/routing/router_bias.h"

namespace coe {
namespace {

/// Beside the flights of all chunks that are under way at a time: the next need not wait for who still reads one.
constexpr int kSpare = 1;

}  // namespace

ChainLayer::ChainLayer(const LayerConfig& config, int layer, const ChainContext& context, ChainWeights weights)
    : config_(config),
      layer_(layer),
      context_(context),
      weights_(std::move(weights)),
      router_(make_router(config, *context.stream)),
      admission_(config, *router_, *context.workspace->group.front(), context.groups->experts()),
      own_admission_(config, *router_, *context.workspace->own, context.groups->alone()),
      planner_(*context.placement, context.groups->experts().rank(), *context.stream,
               context.groups->experts().messages != nullptr),
      experts_(weights_.experts, context.threads, *context.stream),
      counters_(config.iterations, config.experts, *context.stream),
      counts_(context.workspace->group.size()) {
  for (int t = 0; t < iterations(); ++t) {
    gates_.emplace_back(config, layer, t, weights_.gates[static_cast<std::size_t>(t)], *router_);
  }
  if (weights_.shared) shared_.emplace(*weights_.shared, stream());
}

FlightHint ChainLayer::flight_hint(std::int64_t layers, std::int64_t iterations, std::int64_t rows, int chunks) {
  return {.rows = rows,
          .arrivals = chunks + kSpare + static_cast<int>(layers * iterations) * chunks,
          .results = chunks + kSpare};
}

void ChainLayer::update_router_bias(int iteration, float rate, std::span<const std::int64_t> load) {
  const Tensor& bias = gates_[static_cast<std::size_t>(iteration)].bias();
  if (bias.elements() == 0) return;
  std::vector<float> values = read_back<float>(bias, context_.groups->world(), stream(), {"moving a router's bias"});
  const Tensor moved(values.data(), DType::kF32, bias.shape());
  coe::update_router_bias(rate, load, moved);
  copy(moved, bias, stream());
}

std::size_t ChainLayer::chunks() const {
  const bool one = config_.drop_policy != DropPolicy::kNone || routings_ != nullptr;
  return one ? 1 : context_.workspace->group.size();
}

ChainSaved& ChainLayer::begin_chunks(const Batch& batch, std::size_t chunks, ChainSaved* saved) {
  ChainSaved& all = saved != nullptr ? *saved : unsaved_;
  all.chunks.resize(chunks);
  const int ranks = context_.groups->experts().size();
  if (stream().device() != kCpu && batch.sequences > batch.most_sequences(ranks)) {
    fail(ErrorCode::kInternal, "layer on a device: a rank has ", batch.sequences, " of ", batch.group_sequences,
         " sequences of ", ranks, " ranks, which must have even shares");
  }
  for (std::size_t c = 0; c < chunks; ++c) {
    ChunkSaved& chunk = all.chunks[c];
    chunk.batch = chunk_of(batch, static_cast<std::int64_t>(c), std::ssize(all.chunks), ranks);
    chunk.tokens = {(chunk.batch.first_sequence - batch.first_sequence) * batch.length, chunk.batch.tokens()};
    chunk.iterations.resize(saved != nullptr ? static_cast<std::size_t>(config_.iterations) : 2);
    if (chunks > 1) chunk.begin = context_.workspace->arenas[c].mark();
  }
  return all;
}

ChainOutput ChainLayer::begin_output(const Tensor& x, Arena& arena) const {
  const ChainOutput out{.y = arena.make(x.dtype(), x.shape()), .balance_loss = arena.make<double>({1})};
  clear(out.balance_loss, stream());
  return out;
}

ChainLayer::Forward ChainLayer::forward_of(std::size_t chunk, const Tensor& x, const RoutingContext& context,
                                           ChainSaved* saved, const ChainOutput& out, Arena& arena) {
  ChainSaved& all = saved != nullptr ? *saved : unsaved_;
  ChunkSaved& mine = all.chunks[chunk];
  return {.config = context.capacity_factor ? with_capacity(config_, *context.capacity_factor) : config_,
          .context = context,
          .saved = mine,
          .lasting = saved != nullptr,
          .arena = arena_of(chunk, all, arena),
          .x = x.rows(mine.tokens.first, mine.tokens.count),
          .y = out.y.rows(mine.tokens.first, mine.tokens.count),
          .loss = out.balance_loss,
          .chunk = chunk,
          .chunks = all.chunks.size()};
}

ChainOutput ChainLayer::forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                                Arena& arena) {
  const std::size_t count = chunks();
  begin_chunks(batch, count, saved);
  const ChainOutput out = begin_output(x, arena);
  frames_.reset();
  for (std::size_t c = 0; c < count; ++c) {
    passes_.push_back(pass_forward(forward_of(c, x, context, saved, out, arena), frames_));
  }
  run_passes();
  for (std::size_t c = 0; saved == nullptr && count > 1 && c < count; ++c) {
    context_.workspace->arenas[c].reset(unsaved_.chunks[c].begin);
  }
  return out;
}

void ChainLayer::run_passes() {
  struct End {
    std::vector<Task>& passes;
    ~End() { passes.clear(); }
  } const end{passes_};
  run(passes_);
}

Task ChainLayer::begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                               Arena& arena, ChainOutput& out) {
  begin_chunks(batch, 1, saved);
  out = begin_output(x, arena);
  frames_.reset();
  return pass_forward(forward_of(0, x, context, saved, out, arena), frames_);
}

}  // namespace coe
