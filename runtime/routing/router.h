#pragma once

#include <limits>
#include <memory>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "runtime/config/config.h"
#include "runtime/routing/routing.h"

namespace coe {

/// The ranking of an expert that is not open to a token.
inline constexpr float kClosed = std::numeric_limits<float>::lowest();

/// A router's decision with what its backward and the balance losses need. Views the step's Arena.
struct Routed {
  Routing routing;
  Tensor scores;     ///< fp32 [T, N]: probabilities, sigmoids, or ReLU's outputs
  Tensor score_sum;  ///< fp32 [T] that balance losses divide scores by; empty: they take them as they are
  Tensor ranking;    ///< fp32 [T, N] on the host: what experts are chosen by; kClosed where a token may not choose one
  Tensor probability;  ///< fp32 [T, N]: softmax of the logits, where there is a logsumexp
  Tensor logsumexp;    ///< fp32 [T] of the logits; empty where neither scores nor a z-loss need it
  Tensor counts;       ///< int32 [1, N]: how many tokens chose each expert
  Tensor earlier;      ///< as in ChoiceCounts, where the host cannot read the counts; else empty
  Tensor lost;         ///< int32 [1]: the first token whose logits are not finite, cuda::kNoneLost without one

  /// As kernels of a device take them.
  cuda::TopkScores on_device() const;
};

/// Gradients of the balance losses with respect to scores and logits, as balance_loss() makes them.
struct BalanceGradient {
  Tensor score;  ///< fp32 [B, N] (row b for sequence b) or [1, N] (every token); empty: none; of scores / score_sum
  float z_scale = 0;  ///< d(logits) gets 2 * z_scale * logsumexp * probability
};

/// Turns logits into choices and weights, and gradients of weights into gradients of logits (arXiv 2506.18945,
/// 2412.14711). Decisions about tokens may come block by block on the host, as their logits do, all at once elsewhere.
class Router {
 public:
  /// Works on the stream, which is viewed.
  explicit Router(const Stream& stream) : stream_(&stream) {}
  virtual ~Router() = default;
  const Stream& stream() const { return *stream_; }
  /// Room for the decisions about T tokens. `bias` [N] is added to the scores where experts are chosen; empty: none.
  virtual Routed begin_route(Shape logits, const Tensor& bias, Arena& arena) const = 0;
  /// Decides for tokens [first, first + n) from their logits [n, N] fp32, which may be overwritten: for each token
  /// once, in ascending order.
  virtual void route_tokens(const Tensor& logits, const Tensor& bias, std::int64_t first, const Routed& routed,
                            Arena& scratch) const = 0;
  /// Completes routed.routing when all tokens are decided for.
  virtual void finish_route(Routed& routed, Arena& arena) const = 0;
  /// All of these: logits [T, N].
  Routed route(const Tensor& logits, const Tensor& bias, Arena& arena) const;
  /// Fills routing.weight from the scores: of every choice, where rerouting added some.
  virtual void weigh(const Routing& routing) const = 0;
  /// dlogits [T, N] (overwritten) from dweight [choices], which is 0 for choices that were dropped.
  virtual void backward(const Routed& routed, const Tensor& dweight, const BalanceGradient& balance,
                        const Tensor& dlogits) const = 0;

 protected:
  bool on_host() const { return stream_->device() == kCpu; }
  /// Room for so many choices of tokens with these offsets, all chosen and kept.
  Routing make_routing(std::int64_t experts, const Tensor& offsets, std::int64_t choices, Arena& arena) const;
  /// Sets routed.counts and what belongs to them.
  void count(Routed& routed, Arena& arena) const;

 private:
  const Stream* stream_;
};

std::unique_ptr<Router> make_router(const LayerConfig& config, const Stream& stream = host_stream());

}  // namespace coe
