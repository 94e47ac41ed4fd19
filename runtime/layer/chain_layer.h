#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/task.h"
#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/exchange/exchange.h"
#include "runtime/layer/chain_weights.h"
#include "runtime/layer/experts.h"
#include "runtime/layer/layer_counters.h"
#include "runtime/layer/layer_workspace.h"
#include "runtime/layer/part_times.h"
#include "runtime/layer/row_room.h"
#include "runtime/layer/shared_expert.h"
#include "runtime/ranks/batch.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/routing/admission.h"
#include "runtime/routing/balance.h"
#include "runtime/routing/gate.h"
#include "runtime/routing/routing_context.h"
#include "runtime/routing/routing_reader.h"

namespace coe {

/// What a layer works with and does not own.
struct ChainContext {
  const RankGroups* groups;
  const Placement* placement;
  Exchange* exchange;
  LayerWorkspace* workspace;  ///< of as many chunks as a forward has
  PartTimes* times;
  int threads = 1;                        ///< of this rank on the host, for its experts
  const Stream* stream = &host_stream();  ///< of the device on which the weights are, and all that the layer makes
  const RowRoom* room = nullptr;          ///< on a device; without, there is room for all rows that there can be
};

/// What one iteration's backward needs of its forward; views the step's Arena.
struct IterationSaved {
  Tensor x;            ///< x_{t-1} [T, D]
  Tensor normed;       ///< what gate and experts saw; x itself without iteration_norm
  Tensor inverse_rms;  ///< [T]
  GateSaved gate;
  GateForward gating;
  Routed routed;
  std::int64_t chosen = 0;  ///< choices of the router
  BalanceGradient balance;
  DispatchPlan plan;
  Flight flight;  ///< whose rows the experts' backward reads
  ExpertsSaved experts;
  Tensor shared_ab;  ///< [T, 2 F_shared]
};

/// What a forward's chunk leaves for its backward. Holds Flights: the Exchange outlives it.
struct ChunkSaved {
  Batch batch;   ///< the chunk's
  Share tokens;  ///< of those of this rank
  std::vector<IterationSaved> iterations;
  Arena::Mark begin;  ///< of what it took of its own arena, where there are several
};

struct ChainSaved {
  std::vector<ChunkSaved> chunks;
};

struct ChainOutput {
  Tensor y;             ///< [T, D]
  Tensor balance_loss;  ///< fp64 [1], this rank's part of the layer's balance, z and L1 losses
};

/// A Chain-of-Experts layer (arXiv 2506.18945): C times norm, gate, admission, plan, dispatch, experts, combine and
/// residual, on any device. Collective over the expert-parallel group; a rank may have no tokens and no experts. On a
/// device that ranks share all that a pass does is to give work to the stream.
///
/// Of several chunks each is a pass over some of each rank's sequences, as many chunks on every rank, and while one
/// waits for a peer another goes on. Outputs and input gradients have the bits of one chunk; expert gradients are
/// summed chunk by chunk. Where capacity drops, or routing is recorded, there is one.
class ChainLayer {
 public:
  ChainLayer(const LayerConfig& config, int layer, const ChainContext& context, ChainWeights weights);

  /// What the Exchange of so many layers, each followed by a backward, shall make room for; `rows`, of a chunk, as in
  /// FlightHint.
  static constexpr int kInFlight = 2;  ///< flights of one chunk whose results are not yet taken
  static FlightHint flight_hint(std::int64_t layers, std::int64_t iterations, std::int64_t rows = 0, int chunks = 1);

  /// x [T, D], whole sequences. The output and what is saved live in the arena; `saved` may be nullptr where no
  /// backward follows.
  ChainOutput forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                      Arena& arena);
  /// dx [T, D] (overwritten; may be dy itself) from dy of the saved forward; adds up all weight gradients, those of the
  /// balance losses included.
  void backward(const Tensor& dy, ChainSaved& saved, const Tensor& dx, Arena& arena);

  /// The same, as one chunk, to be driven by who drives several ranks: until it is done, what it is given stays. One
  /// Task of a layer at a time.
  Task begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                     Arena& arena, ChainOutput& out);
  Task begin_backward(const Tensor& dy, ChainSaved& saved, const Tensor& dx, Arena& arena);

  /// Moves an iteration's router bias by `rate` towards an even load: load [N] choices of the whole step, over all
  /// ranks (Wang et al. 2024, arXiv 2408.15664). Does nothing without a bias. On a device waits for the stream.
  void update_router_bias(int iteration, float rate, std::span<const std::int64_t> load);

  /// See Experts::pack.
  void pack_experts() { experts_.pack(); }

  /// Of every iteration. On a device waits for the stream.
  std::span<IterationCounters> counters() { return counters_.read(context_.groups->world()); }
  void clear_counters() { counters_.clear(); }
  /// Every forward's routing is added to `routings`, which are viewed; nullptr ends it.
  void record_routing(RoutingReader* routings) { routings_ = routings; }

 private:
  /// What the iterations of one chunk's forward have in common.
  struct Forward {
    LayerConfig config;  ///< the layer's, with this forward's capacity
    const RoutingContext& context;
    ChunkSaved& saved;  ///< of all iterations, or of two that take turns
    bool lasting;       ///< what is saved is needed after the forward
    Arena& arena;
    Tensor x, y;  ///< of the layer, the chunk's tokens
    Tensor loss;  ///< fp64 [1], of all chunks
    std::size_t chunk, chunks;

    const Batch& batch() const { return saved.batch; }
    IterationSaved& at(int t) const { return saved.iterations[static_cast<std::size_t>(t) % saved.iterations.size()]; }
    bool alone() const { return config.capacity_scope == CapacityScope::kRank; }
  };
  struct Backward {
    Tensor dy, dx;
    ChunkSaved& saved;
    Arena& arena;
    int chunk = 0;
  };

  /// All iterations of one chunk's forward, and of its backward, suspended wherever they need a peer.
  Task pass_forward(Forward pass, FrameArena& frames);
  Task pass_backward(Backward pass, FrameArena& frames);
  /// How many this forward has; the same on every rank.
  std::size_t chunks() const;
  /// Deals the batch out to as many chunks, by whole sequences.
  ChainSaved& begin_chunks(const Batch& batch, std::size_t chunks, ChainSaved* saved);
  /// The caller's, or with several chunks its own.
  Arena& arena_of(std::size_t chunk, const ChainSaved& saved, Arena& arena) const {
    return saved.chunks.size() == 1 ? arena : context_.workspace->arenas[chunk];
  }
  Forward forward_of(std::size_t chunk, const Tensor& x, const RoutingContext& context, ChainSaved* saved,
                     const ChainOutput& out, Arena& arena);
  /// Room for it, and a loss of 0.
  ChainOutput begin_output(const Tensor& x, Arena& arena) const;
  /// Runs `passes_` to their ends; an exception ends them all.
  void run_passes();

  /// The turn into iteration t, whose x need not be there yet: begins its norm and gate, then does both for tokens
  /// [first, first + count).
  void begin_iteration(int t, const Tensor& x, Forward& pass);
  void enter_iteration(int t, std::int64_t first, std::int64_t count, Forward& pass);
  void finish_gate(int t, Forward& pass);
  RowTables& tables(const Forward& pass) const { return *context_.workspace->group[pass.chunk]; }
  /// Awaited: all ranks' counts are in the table of the round.
  Timed<RowTables::Told> tell(int t, const Tensor& counts, int round, const Forward& pass);
  /// Awaited: the other chunks of this rank have come as far.
  struct Turn : Need<Turn> {
    void meet() {}
    void take() {}
  };
  /// Awaited: all replicas' counts, int64 [N] each, are in `all`.
  Timed<RowTables::Told> tell_replicas(int t, const Tensor& counts, const Forward& pass);
  void balance(int t, const Tensor& world_counts, Forward& pass);
  Admission& admission(const Forward& pass) { return pass.alone() ? own_admission_ : admission_; }
  Admission::Call admission_call(int t, const Forward& pass) const;
  void plan(int t, const Tensor& table, Forward& pass);
  Flight dispatch(int t, Forward& pass);
  void run_experts(const ExpertRows& rows, IterationSaved& saved, Arena& arena);
  /// The following iteration's x becomes `next`.
  Combination combination(int t, const Tensor& next, Forward& pass);

  Flight dispatch_gradient(int t, const Tensor& d, IterationSaved& saved);
  /// Releases the rows that arrived in the forward.
  void experts_backward(const ExpertRows& d, const ExpertRows& dx, IterationSaved& saved, Arena& arena);
  void gate_backward(int t, const Tensor& residual, const Tensor& dnormed, const Tensor& dweight, const Tensor& dx,
                     Backward& pass);
  /// [T, D]; empty without a shared expert.
  Tensor shared_forward(IterationSaved& saved, const Batch& batch, Arena& arena) const;
  Tensor shared_backward(const Tensor& d, const IterationSaved& saved, const Batch& batch, Arena& arena) const;
  /// What is added to the sums: x of iteration t, in the backward its gradient, or of the whole layer.
  Tensor residual(int t, int outermost, const Tensor& inner, const Tensor& outer) const;
  /// From when the rows were sent until now.
  void trace_flight(double sent) const;
  Phase phase(std::string_view name, int t) const { return {name, layer_, t}; }
  const Stream& stream() const { return *context_.stream; }
  int iterations() const { return static_cast<int>(config_.iterations); }

  LayerConfig config_;
  int layer_;
  ChainContext context_;
  ChainWeights weights_;
  std::unique_ptr<Router> router_;
  std::vector<Gate> gates_;
  Admission admission_, own_admission_;
  DispatchPlanner planner_;
  Experts experts_;
  std::optional<SharedExpert> shared_;
  LayerCounters counters_;
  RoutingReader* routings_ = nullptr;
  ChainSaved unsaved_;          ///< where no backward follows: of an iteration and of the one that it enters
  std::vector<Tensor> counts_;  ///< totals of each chunk, in one iteration
  std::vector<Task> passes_;
  FrameArena frames_;
};

}  // namespace coe
