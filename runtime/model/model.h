#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/memory/arena.h"
#include "runtime/config/config.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/part_times.h"
#include "runtime/model/attention_block.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/batch.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/routing/routing_record.h"

namespace coe {

/// One rank's part of a loss over all ranks; the parts add up.
struct LossPart {
  double cross_entropy = 0;  ///< sum over tokens, nats
  double balance = 0;        ///< balance, z and L1 losses, all layers and iterations
};

/// What a model is going to be used for.
struct ModelUse {
  bool trained = true;  ///< its weights have gradients
  ExchangeOrder order = ExchangeOrder::kExact;
  Recompute recompute = Recompute::kNone;  ///< what loss_and_gradients() computes twice
  int threads = 1;                         ///< of this rank, for its experts
  int chunks = 1;                          ///< of a forward, see ChainLayer
  std::int64_t tokens = 0;  ///< the most that a rank has in one forward: exchanges make room for them at once, for none
                            ///< where it is 0
  double capacity_factor = 0;  ///< of logits() and loss(), see ValidationConfig
};

/// A decoder: embedding, then per layer attention and a chain layer, final norm, untied head (Hugging Face's
/// Llama names). Expert weights are sharded over the expert-parallel group, everything else is on every rank. All
/// methods with a Batch are collective over that group; a rank without sequences takes part.
class Model {
 public:
  /// What the backward needs of one layer's forward; views the call's arena.
  struct LayerSaved {
    AttentionSaved attention;
    Tensor h, inverse_rms;  ///< after attention, before the authors' post-attention norm
    ChainSaved chain;
  };

  /// The groups are viewed. Weights are zero until initialise() or a checkpoint fills parameters(). Collective.
  Model(const ModelConfig& config, const RankGroups& groups, const ModelUse& use);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Placement& placement() const { return placement_; }

  /// ids [T] int32 -> logits [T, V] (overwritten). Unlike training, it and loss() drop no choice unless ModelUse names
  /// a capacity, so that a sequence's logits depend on no other sequence.
  void logits(const Tensor& ids, const Batch& batch, const Tensor& logits, Arena& arena);
  /// Cross-entropy alone; labels [T] int32.
  double loss(const Tensor& ids, const Tensor& labels, const Batch& batch, Arena& arena);
  /// Forward and backward: adds up this rank's gradients of scale * cross-entropy sum + balance losses. What the
  /// backward computes again it finds as it was, bit for bit: random numbers are drawn by place, and routers' biases
  /// stay as they are; a layer's exchanges happen again, in the backward's order, which is that of all ranks.
  LossPart loss_and_gradients(const Tensor& ids, const Tensor& labels, const Batch& batch, double scale,
                              const RoutingContext& routing, Arena& arena);

  /// Forward alone, keeping all that a backward would need in saved(): the hidden states [T, D] before the final norm.
  Tensor activations(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena);
  std::span<const LayerSaved> saved() const { return saved_; }

  /// How often buffers of the exchanges were too small.
  int growths() const { return exchange_->growths(); }
  std::span<ChainLayer> chains() { return chains_; }
  /// The routing of the last loss_and_gradients() in one layer and iteration; views that call's arena. Not where layers
  /// are computed again: their memory then serves the next.
  const Routing& last_routing(std::int64_t layer, std::int64_t iteration) const;
  /// Every forward's routing is counted in `counter`, which is viewed; nullptr ends it.
  void record_routing(RoutingCounter* counter);
  PartTimes& times() { return times_; }

 private:
  /// What of every layer stays for a backward.
  struct Keep {
    bool attention = false, chain = false;
  };

  Tensor forward(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Keep keep, double& balance,
                 Arena& arena);
  void attention_forward(std::size_t layer, const Tensor& h, const Batch& batch, const Tensor& out, Arena& arena);
  Tensor chain_forward(std::size_t layer, const Tensor& h, const Batch& batch, const RoutingContext& routing, bool save,
                       double& balance, Arena& arena);
  void chain_backward(std::size_t layer, const Tensor& d, const Batch& batch, Arena& arena);
  void layer_backward(std::size_t layer, const Tensor& d, const Batch& batch, const RoutingContext& routing,
                      Arena& arena);
  /// Computes a layer again, saving it; counts nothing but the bytes that travel again.
  void replay(std::size_t layer, const Batch& batch, const RoutingContext& routing, Arena& arena);
  TrainedTensor trained(const std::string& name);

  ModelConfig config_;
  const RankGroups* groups_;
  double capacity_factor_;
  Recompute recompute_;
  Placement placement_;
  Parameters parameters_;
  std::unique_ptr<Exchange> exchange_;
  LayerWorkspace workspace_;
  PartTimes times_;
  Buffer rope_memory_;
  Tensor cosine_, sine_;
  TrainedTensor embedding_, final_norm_, head_;
  std::vector<TrainedTensor> post_attention_norms_;
  std::vector<AttentionBlock> attentions_;
  std::vector<ChainLayer> chains_;
  std::vector<LayerSaved> saved_;
  std::vector<IterationCounters> counted_;  ///< what a layer had counted before it is computed again
};

}  // namespace coe
