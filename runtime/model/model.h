#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/stream.h"
#include "runtime/config/config.h"
#include "runtime/exchange/exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/part_times.h"
#include "runtime/model/attention_block.h"
#include "runtime/model/head.h"
#include "runtime/model/parameters.h"
#include "runtime/model/pass_graph.h"
#include "runtime/ranks/batch.h"
#include "runtime/ranks/placement.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/routing/routing_reader.h"

namespace coe {

/// One rank's part of a loss over all ranks; the parts add up.
struct LossPart {
  double cross_entropy = 0;  ///< sum over tokens, nats
  double balance = 0;        ///< balance, z and L1 losses, all layers and iterations
};

/// Gradients that a backward changes no more: all from these places on in the memory of their kind (FlatParameters).
struct FinalFrom {
  std::int64_t replicated = 0, experts = 0;
};
/// Is told of them between two parts of a backward, on every rank between the same ones, with less each time.
using GradientsFinal = std::function<void(const FinalFrom&)>;

/// What a model is going to be used for.
struct ModelUse {
  bool trained = true;  ///< its weights have gradients
  ExchangeOrder order = ExchangeOrder::kExact;
  Recompute recompute = Recompute::kNone;  ///< what loss_and_gradients() computes twice
  int threads = 1;                         ///< of this rank, for its experts
  int chunks = 1;                          ///< of a forward, see ChainLayer; with a capacity there is one
  std::int64_t tokens = 0;  ///< the most that a rank has in one forward: exchanges make room for them at once, for none
                            ///< where it is 0
  double capacity_factor = 0;              ///< of logits() and loss(), see ValidationConfig
  const Stream* stream = &host_stream();   ///< of the device on which the model is, viewed; there `tokens` is not 0
  DType dtype = DType::kF32;               ///< of activations, and of matrices as products read them
  std::vector<Placement> placements = {};  ///< of each layer over the expert-parallel group; empty: contiguous runs
  bool shards_state = false;               ///< see WeightSharing
  double row_slack = 0;                    ///< of a RowRoom where GPUs see one another's memory
  bool graph = false;                      ///< loss_and_gradients() by a PassGraph, where one rank is on a device alone
};

/// A decoder: embedding, then per layer attention and a chain layer, final norm, untied head (Hugging Face's
/// Llama names), on any device. Expert weights are sharded over the expert-parallel group, everything else is on every
/// rank. All methods with a Batch are collective over that group; a rank without sequences takes part. Tokens and
/// labels are in host memory; arenas are of the model's device.
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
  /// Of each layer the experts that `rank` of the expert-parallel group holds.
  std::vector<ExpertIds> experts_of(int rank) const;
  std::vector<ExpertIds> experts() const { return experts_of(groups_->experts().rank()); }
  const Stream& stream() const { return *stream_; }

  /// ids [T] int32 -> logits fp32 [T, V] (overwritten; there when the stream is done). Unlike training, it and loss()
  /// drop no choice unless ModelUse names a capacity, so that a sequence's logits depend on no other sequence.
  void logits(const Tensor& ids, const Batch& batch, const Tensor& logits, Arena& arena);
  /// Cross-entropy alone; labels [T] int32.
  double loss(const Tensor& ids, const Tensor& labels, const Batch& batch, Arena& arena);
  /// Forward and backward: adds up this rank's gradients of scale * cross-entropy sum + balance losses. What the
  /// backward computes again it finds as it was, bit for bit: random numbers are drawn by place, and routers' biases
  /// stay as they are; a layer's exchanges happen again, in the backward's order, which is that of all ranks.
  /// Gradients on a device are final when the stream has come so far.
  LossPart loss_and_gradients(const Tensor& ids, const Tensor& labels, const Batch& batch, double scale,
                              const RoutingContext& routing, Arena& arena, const GradientsFinal& final = {});

  /// Forward alone, keeping all that a backward would need in saved(): the hidden states [T, D] before the final norm.
  Tensor activations(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena);
  std::span<const LayerSaved> saved() const { return saved_; }

  /// After numbers that are not finite: whether rows had no room on some rank, so that what was computed is to be
  /// computed again, now with more. Collective over the world.
  bool make_room() { return room_.grow(groups_->world()); }
  /// How often buffers of the exchanges were too small.
  int growths() const { return exchange_->growths(); }
  std::span<ChainLayer> chains() { return chains_; }
  /// On the host alone: the routing of the last loss_and_gradients() in one layer and iteration; views that call's
  /// arena. Not where layers are computed again: their memory then serves the next.
  const Routing& last_routing(std::int64_t layer, std::int64_t iteration) const;
  /// How often loss_and_gradients() was a graph's.
  std::int64_t replays() const { return graph_ ? graph_->replays() : 0; }
  /// Every forward's routing is counted in `counter`, which is viewed, by the end of loss() or loss_and_gradients();
  /// nullptr ends it.
  void record_routing(RoutingCounter* counter);
  /// Since they were last cleared; on a device as the stream goes through them, once it is done, and nothing after it
  /// until they are cleared again.
  const PartTimes& read_times();
  PartTimes& times() { return times_; }
  void clear_times();

 private:
  /// What of every layer stays for a backward.
  struct Keep {
    bool attention = false, chain = false;
  };

  /// What one call works on.
  struct Call {
    Batch batch;
    RoutingContext routing;
    AttentionRows where;
    Tensor ids;     ///< on the model's device
    Tensor losses;  ///< fp64 [1 + layers], there too: cross-entropy, then each layer's balance losses
    Arena& arena;

    Tensor cross_entropy() const { return losses.rows(0, 1); }
  };

  /// Forward and backward of what has begun, on the stream alone.
  void pass(Call& call, const Tensor& labels, double scale, const GradientsFinal& final);
  PassGraph::Key key_of(const Call& call, const Tensor& labels, double scale) const;
  /// Whether passes may be a graph's now: it measures no parts and records no routing.
  bool replays_passes() const { return graph_ && times_.trace == nullptr && !records_routing_; }
  Call begin(const Tensor& ids, const Batch& batch, const RoutingContext& routing, Arena& arena) const;
  /// What the host has, where the model is.
  Tensor placed(const Tensor& host, Arena& arena) const;
  Tensor placed_labels(const Tensor& labels, Arena& arena) const;
  /// What has been added up, when the stream is done.
  LossPart losses_of(const Call& call);
  Tensor forward(Call& call, Keep keep);
  void attention_forward(std::size_t layer, const Tensor& h, const Tensor& out, Call& call);
  Tensor chain_forward(std::size_t layer, const Tensor& h, bool save, Call& call);
  void chain_backward(std::size_t layer, const Tensor& d, Call& call);
  void layer_backward(std::size_t layer, const Tensor& d, Call& call);
  /// Computes a layer again, saving it.
  void replay(std::size_t layer, Call& call);
  TrainedTensor trained(const std::string& name);
  void make_rope_tables();
  /// After the backward of the head, and of each layer.
  std::vector<FinalFrom> find_final() const;

  ModelConfig config_;
  const RankGroups* groups_;
  const Stream* stream_;
  DType dtype_;
  double capacity_factor_;
  Recompute recompute_;
  std::vector<Placement> placements_;  ///< of each layer
  Parameters parameters_;
  RowRoom room_;
  std::unique_ptr<Exchange> exchange_;
  LayerWorkspace workspace_;
  std::optional<StreamClock> clock_;
  std::optional<PassGraph> graph_;
  bool records_routing_ = false;
  PartTimes times_;
  Buffer rope_memory_;
  Tensor cosine_, sine_;
  TrainedTensor embedding_;
  Head head_;
  std::vector<TrainedTensor> post_attention_norms_;
  std::vector<AttentionBlock> attentions_;
  RoutingReader routings_;
  std::vector<ChainLayer> chains_;
  std::vector<LayerSaved> saved_;
  std::vector<FinalFrom> final_from_;  ///< of each layer, then of the head
};

}  // namespace coe
