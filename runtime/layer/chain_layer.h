#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

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
  ExpertsSaved experts;
  Tensor shared_ab;  ///< [T, 2 F_shared]
};

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

  /// What the Exchange of so many layers needs: slots, and how many of them are in flight.
  static int exchange_slots(std::int64_t layers, std::int64_t iterations);
  static constexpr int kInFlight = 2;

  /// x [T, D], whole sequences. The output and what is saved live in the arena; `saved` may be nullptr where no
  /// backward follows.
  ChainOutput forward(const Tensor& x, const Batch& batch, const RoutingContext& context, ChainSaved* saved,
                      Arena& arena);
  /// dx [T, D] (overwritten; may be dy itself) from dy; adds up all weight gradients, those of the balance losses
  /// included.
  void backward(const Tensor& dy, const Batch& batch, const ChainSaved& saved, const Tensor& dx, Arena& arena);

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
  struct Pass {
    const Batch& batch;
    const RoutingContext& context;
    ChainSaved& saved;  ///< of all iterations, or of two that take turns
    bool lasting;       ///< what is saved is needed after the forward
    double balance;
    Arena& arena;

    IterationSaved& at(int t) const { return saved.iterations[static_cast<std::size_t>(t) % saved.iterations.size()]; }
  };

  /// The turn into iteration t, whose x need not be there yet: begins its norm and gate, then does both for tokens
  /// [first, first + count).
  void begin_iteration(int t, const Tensor& x, Pass& pass);
  void enter_iteration(int t, std::int64_t first, std::int64_t count, Pass& pass);
  /// From the gate's choices to `next` [T, D], the x of the following iteration, which is entered as it comes to be.
  void iterate(int t, const Tensor& next, Pass& pass);
  ExpertRows dispatch(int t, int slot, Pass& pass);
  /// Combine, shared expert and residual.
  void turn_around(int t, int slot, const Tensor& next, Pass& pass);
  /// The exchange slot of an iteration whose rows nobody needs after it, and of one whose backward needs them.
  int passing_slot(int t) const;
  int lasting_slot(int t) const;
  void plan(int t, Pass& pass);
  /// Balance losses, admission and plan; changes what the router counted.
  void balance_and_admit(int t, Pass& pass);
  /// The sums of `table` and of the `others`' tables.
  std::span<const std::int64_t> world_counts(const Tensor& table, Group others, const Phase& phase, Arena& arena) const;
  void iterate_backward(int t, const Tensor& d, const Batch& batch, const IterationSaved& saved, const Tensor& dx,
                        Arena& arena);
  void routed_backward(int t, const Tensor& d, const IterationSaved& saved, const Tensor& dx, const Tensor& dweight,
                       Arena& arena);
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
};

}  // namespace coe
