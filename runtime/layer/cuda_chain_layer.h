#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/exchange/device_reroute.h"
#include "runtime/layer/device_chain_weights.h"

namespace coe {

/// Throws kBadInput where the layer asks for what a CudaChainLayer does not do; one sentence says what.
void check_cuda_layer(const LayerConfig& config);
/// Throws kBadInput where no CUDA device can be used, in a build without CUDA too.
void check_cuda_device();

/// What the exchange of a layer needs for micro-batches of up to `tokens` tokens over all ranks.
DeviceRoom room_of(const LayerConfig& config, const Placement& placement, std::int64_t tokens, DType dtype);

/// What one iteration's backward needs of its forward; views the step's Arena.
struct DeviceIteration {
  Tensor x, normed, inverse_rms;
  DeviceRouted routed;
  DevicePlan plan;
  DeviceAsks asks;          ///< of the router's choices, where they are granted places
  Tensor taken;             ///< int32 [R, N] what was granted so far
  DeviceStandbys standbys;  ///< where choices are rerouted
  Tensor ab, shared_ab;
};

/// What a CudaChainLayer works with and does not own.
struct CudaChainContext {
  const RankGroups* groups;
  const Placement* placement;
  DeviceExchange* exchange;
  const DeviceChainWeights* weights;
  const Stream* stream;
};

/// The twin of ChainLayer on a device whose ranks share it. Between the first and the last iteration no number comes
/// back to the host: all that a call does is to give work to the stream. Work is given in stages; ranks meet between
/// them. Ranks as threads call forward() and backward(); one thread that drives several ranks calls each stage for
/// every rank before the next, and may capture the whole in a Graph once a step has shown how much the arena must hold.
class CudaChainLayer {
 public:
  /// Throws kBadInput as check_cuda_layer() does, and with data parallelism.
  CudaChainLayer(const LayerConfig& config, int layer, const CudaChainContext& context);

  /// x [T, D] of the weights' dtype, whole sequences. y and what is saved live in the arena until it is reset.
  Tensor forward(const Tensor& x, const Batch& batch, const RoutingContext& context, Arena& arena);
  /// dx [T, D] (overwritten, not dy) from dy, for the last forward; adds up all gradients.
  void backward(const Tensor& dy, const Tensor& dx, Arena& arena);

  int forward_stages() const { return stages_each() * iterations() + 1; }
  /// begin_forward(), then every stage in order, is forward(); the result is y(). A Graph replays the random numbers
  /// that it captured.
  void begin_forward(const Tensor& x, const Batch& batch, const RoutingContext& context, Arena& arena);
  void forward_stage(int stage, Arena& arena);
  int backward_stages() const { return 2 * iterations() + 1; }
  void begin_backward(const Tensor& dy, const Tensor& dx, Arena& arena);
  void backward_stage(int stage, Arena& arena);

  const Tensor& y() const { return y_; }
  /// fp64 [1] this rank's part of the balance, z and L1 losses of the last forward.
  const Tensor& balance_loss() const { return loss_; }
  const std::vector<DeviceIteration>& saved() const { return saved_; }

 private:
  int iterations() const { return static_cast<int>(config_.iterations); }
  DeviceIteration& saved(int t) { return saved_[static_cast<std::size_t>(t)]; }
  int rounds() const { return static_cast<int>(config_.reroute_rounds); }
  /// Of one iteration: route, a round's decision and the next one's asks, dispatch, compute.
  int stages_each() const { return 3 + rounds(); }
  cuda::BucketLimit limit() const;
  /// Whether ranks grant places before they plan, in place of planning with a limit.
  bool grants() const { return config_.drop_policy == DropPolicy::kProbability || rounds() > 0; }
  const DeviceGate& gate(int t) const { return gates_[static_cast<std::size_t>(t)]; }
  void route(int t, const Tensor& x, Arena& arena);
  void grant(int t, int round, Arena& arena);
  void reroute(int t, int round, Arena& arena);
  void balance(int t, Arena& arena);
  void dispatch(int t, Arena& arena);
  void compute(int t, Arena& arena);
  Tensor combine(int t, Arena& arena);
  void send_gradient(int t);
  void compute_gradient(int t, Arena& arena);
  void finish_gradient(int t, Arena& arena);
  Phase phase(std::string_view name, int t) const { return {name, layer_, t}; }
  const Stream& stream() const { return *context_.stream; }

  LayerConfig config_;
  int layer_;
  CudaChainContext context_;
  std::vector<DeviceGate> gates_;
  Buffer memory_;
  std::vector<std::int32_t> host_first_;
  std::int32_t host_none_ = cuda::kNoneLost;
  Tensor first_, all_, none_, loss_;
  Batch batch_;
  RoutingContext routing_;
  Tensor x_, y_, dy_, dx_, upstream_;
  std::vector<DeviceIteration> saved_;
};

}  // namespace coe
