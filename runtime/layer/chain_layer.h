#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comm/posted_gather.h"
#include "comm/task.h"
#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/exchange/dispatch_plan.h"
#include "runtime/exchange/exchange.h"
#include "runtime/layer/experts.h"
#include "runtime/layer/part_times.h"
#include "runtime/ranks/batch.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/routing/balance.h"
#include "runtime/routing/gate.h"
#include "runtime/routing/routing_context.h"
#include "runtime/routing/routing_record.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// The weights of one chain layer on this rank.
struct ChainWeights {
  std::vector<GateWeights> gates;      ///< C of them
  std::vector<TrainedTensor> norms;    ///< [D] each: C of them with iteration_norm, else none
  std::vector<ExpertWeights> experts;  ///< this rank's, in ascending global id
  std::optional<ExpertWeights> shared;
};

/// What a layer works with and does not own.
struct ChainContext {
  const RankGroups* groups;
  const Placement* placement;
  Exchange* exchange;
  PartTimes* times;
  int threads = 1;  ///< of this rank, for its experts
};

/// What one iteration's backward needs of its forward; views the step's Arena.
struct IterationSaved {
  Tensor x;            ///< x_{t-1} [T, D]
  Tensor normed;       ///< what gate and experts saw; x itself without iteration_norm
  Tensor inverse_rms;  ///< [T]
  GateSaved gate;
  GateForward gating;
  Routed routed;
  BalanceGradient balance;
  DispatchPlan plan;
  Flight flight;  ///< whose rows the experts' backward reads
  ExpertsSaved experts;
  Tensor shared_ab;  ///< [T, 2 F_shared]
};

/// Holds Flights: the Exchange outlives it.
struct ChainSaved {
  std::vector<IterationSaved> iterations;
};

struct ChainOutput {
  Tensor y;                 ///< [T, D]
  double balance_loss = 0;  ///< this rank's part of the layer's balance, z and L1 losses
};

/// What passed through one iteration on this rank since the counters were last cleared.
struct IterationCounters {
  std::vector<std::int64_t> load;  ///< [N] choices of this rank's tokens, before any is dropped
  std::int64_t tokens = 0, dropped = 0, rerouted = 0, bytes_sent = 0;  ///< dropped: without a place in the end
};

/// A Chain-of-Experts layer (arXiv 2506.18945): C times norm, gate, admission, plan, dispatch,
/// experts, combine and residual. Collective over the expert-parallel group; a rank may have no tokens and no experts.
class ChainLayer {
 public:
  ChainLayer(const LayerConfig& config, int layer, const ChainContext& context, ChainWeights weights);

  /// What the Exchange of so many layers, each followed by a backward, shall make room for; `rows` as in FlightHint.
  static constexpr int kInFlight = 2;  ///< flights whose results are not yet taken
  static FlightHint flight_hint(std::int64_t layers, std::int64_t iterations, std::int64_t rows = 0);

  /// x [T, D], whole sequences. The output and what is saved live in the arena; `saved` may be nullptr where no
  /// backward follows.
  ChainOutput forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                      Arena& arena);
  /// dx [T, D] (overwritten; may be dy itself) from dy; adds up all weight gradients, those of the balance losses
  /// included.
  void backward(const Tensor& dy, const Batch& batch, ChainSaved& saved, const Tensor& dx, Arena& arena);

  /// Moves an iteration's router bias by `rate` towards an even load: load [N] choices of the whole step, over all
  /// ranks (Wang et al. 2024, arXiv 2408.15664). Does nothing without a bias.
  void update_router_bias(int iteration, float rate, std::span<const std::int64_t> load);

  /// See Experts::pack.
  void pack_experts() { experts_.pack(); }

  std::span<IterationCounters> counters() { return counters_; }
  void clear_counters();
  /// Every forward's routing is counted in `counter`, which is viewed; nullptr ends it.
  void record_routing(RoutingCounter* counter) { counter_ = counter; }

 private:
  /// What the iterations of one forward have in common.
  struct Forward {
    LayerConfig config;  ///< the layer's, with this forward's capacity
    const Batch& batch;
    const RoutingContext& context;
    ChainSaved& saved;  ///< of all iterations, or of two that take turns
    bool lasting;       ///< what is saved is needed after the forward
    Arena& arena;
    ChainOutput out;

    IterationSaved& at(int t) const { return saved.iterations[static_cast<std::size_t>(t) % saved.iterations.size()]; }
    bool alone() const { return config.capacity_scope == CapacityScope::kRank; }
  };
  struct Backward {
    const Batch& batch;
    ChainSaved& saved;
    Arena& arena;
  };

  /// All iterations of one forward, and of its backward, suspended wherever they need a peer.
  Task pass_forward(const Tensor& x, Forward& pass, FrameArena& frames);
  Task pass_backward(const Tensor& dy, const Tensor& dx, Backward& pass, FrameArena& frames);

  /// The turn into iteration t, whose x need not be there yet: begins its norm and gate, then does both for tokens
  /// [first, first + count).
  void begin_iteration(int t, const Tensor& x, Forward& pass);
  void enter_iteration(int t, std::int64_t first, std::int64_t count, Forward& pass);
  void finish_gate(int t, Forward& pass);
  /// Awaited: `table` int32 [R, N] has all ranks' counts.
  Timed<PostedGather::Done> gather(int t, const Tensor& counts, const Tensor& table);
  /// Balance losses and admission; changes what the router counted, which is in `table`, too.
  void balance_and_admit(int t, const Tensor& table, Forward& pass);
  void plan(int t, const Tensor& table, Forward& pass);
  Flight dispatch(int t, Forward& pass);
  void run_experts(const ExpertRows& rows, IterationSaved& saved, Arena& arena);
  /// A block of sums becomes a block of `next`, the following iteration's x, which is entered.
  void turn_around(int t, const Tensor& next, const Tensor& shared, std::int64_t first, std::int64_t count,
                   Forward& pass);
  /// The sums of `table` and of the `others`' tables.
  std::span<const std::int64_t> world_counts(const Tensor& table, Group others, const Phase& phase, Arena& arena) const;

  Flight dispatch_gradient(int t, const Tensor& d, IterationSaved& saved);
  /// Releases the rows that arrived in the forward.
  void experts_backward(const ExpertRows& d, const ExpertRows& dx, IterationSaved& saved, Arena& arena);
  void gate_backward(int t, const Tensor& d, const Tensor& dnormed, const Tensor& dweight, const Tensor& dx,
                     Backward& pass);
  /// [T, D]; empty without a shared expert.
  Tensor shared_forward(const Batch& batch, IterationSaved& saved, Arena& arena) const;
  void shared_backward(const Tensor& d, const Batch& batch, const IterationSaved& saved, const Tensor& dx,
                       Arena& arena) const;
  Phase phase(std::string_view name, int t) const { return {name, layer_, t}; }

  LayerConfig config_;
  int layer_;
  ChainContext context_;
  ChainWeights weights_;
  std::unique_ptr<Router> router_;
  std::vector<Gate> gates_;
  Experts experts_;
  std::vector<IterationCounters> counters_;
  RoutingCounter* counter_ = nullptr;
  ChainSaved unsaved_;  ///< where no backward follows: of an iteration and of the one that it enters
  PostedGather gather_;
  Arena table_memory_;  ///< [R, N], which no backward needs
  FrameArena frames_;
};

}  // namespace coe
