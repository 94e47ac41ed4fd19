#pragma once

#include <vector>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"
#include "kernels/products/linear.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// Weights of one SwiGLU feed-forward and where their gradients add up; views Parameters. On a device fp32 or bf16,
/// with fp32 gradients, and those of a rank's experts lie behind one another.
struct ExpertWeights {
  Tensor gate_up;                          ///< [2 F, D]: gate_proj, then up_proj
  Tensor down;                             ///< [D, F]
  Tensor gate_up_gradient, down_gradient;  ///< empty where nothing is trained
};

/// Forward of one feed-forward over x [n, D]: out [n, D] is overwritten, ab [n, 2 F] is what the backward needs.
void expert_forward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena);

/// Backward over the same rows: d [n, D] comes unscaled with mixing weights w [n] beside it, so that no row is scaled
/// before it is sent; dx [n, D] is overwritten, dw [n] = <Wd^T d, m>; weight gradients add up. ab is consumed.
void expert_backward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& d, const Tensor& w,
                     const Tensor& dx, const Tensor& dw, Arena& arena);

/// What the experts' backward needs of their forward; views the step's Arena.
struct ExpertsSaved {
  ExpertRows in;
  Tensor ab;  ///< [n, 2 F]
};

/// This rank's experts: one product per expert over all its rows of an iteration, so that bits do not depend on the
/// ranks; threads share them out by whole experts, rows and blocks of a weight's gradient, nothing that a sum runs
/// over, so that bits do not depend on the threads either.
class Experts {
 public:
  /// `local` in ascending global id; may be empty. On the host `threads` work on them, the calling one included. Views
  /// the stream. Throws kInternal where weights on a device do not lie behind one another.
  explicit Experts(std::vector<ExpertWeights> local, int threads = 1, const Stream& stream = host_stream());

  /// From now on forward() reads copies of the weights as they are now, which saves most of its time where an expert
  /// has few rows. For weights that no longer change; the copies take as much memory.
  void pack();

  /// Results in the order of in.rows, into `out`. `saved` may be nullptr where no backward follows; it views in.rows.
  void forward(const ExpertRows& in, const ExpertRows& out, ExpertsSaved* saved, Arena& arena) const;
  /// `d` holds upstream gradients with the mixing weights as scalars; `dx` gets the gradients of the rows, with dw as
  /// scalars, and the gradients of the weights add up. Consumes `saved`.
  void backward(const ExpertRows& d, const ExpertRows& dx, const ExpertsSaved& saved, Arena& arena) const;

 private:
  /// Weights of one feed-forward in the order in which products read them.
  struct PackedExpert {
    PackedMatrix gate_up, down;
  };

  void forward_there(const ExpertRows& in, const ExpertRows& out, const Tensor& ab, Arena& arena) const;
  void backward_there(const ExpertRows& d, const ExpertRows& dx, const ExpertsSaved& saved, Arena& arena) const;

  std::vector<ExpertWeights> local_;
  int threads_;
  const Stream* stream_;
  ExpertWeights grouped_;             ///< on a device all of them: [G, 2 F, D] and [G, D, F]
  std::vector<PackedExpert> packed_;  ///< all of them, or none; views packed_memory_
  Arena packed_memory_;
};

}  // namespace coe
