#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/stream.h"
#include "kernels/memory/tensor.h"
#include "runtime/ranks/deal.h"
#include "runtime/ranks/rank_groups.h"
#include "runtime/routing/trained_tensor.h"

namespace coe {

/// What a Parameter shall be.
struct ParameterSpec {
  std::string name;  ///< As in Hugging Face's Llama, "model.layers.0.mlp.experts.7.up_proj.weight"
  Shape shape;
  bool expert = false;  ///< Sharded over the expert-parallel group, named by its global expert id; else on every rank.
  bool trained = true;  ///< By gradients; else its value alone is kept.
  bool rounded = true;  ///< A matrix to the dtype of products; else these read it in fp32, as a router's.
};

/// Whether products read it in their dtype.
inline bool is_rounded(const ParameterSpec& spec) { return spec.rounded && spec.shape.rank() != 1; }

/// One weight with its gradient and AdamW moments, fp32, all of one shape. Gradient and moments are empty where it is
/// not to be trained, and what is kept in pieces is (FlatParameters). Views memory of its Parameters.
struct Parameter {
  std::string name;
  bool expert = false;
  Tensor value, gradient, first_moment, second_moment;
  Tensor working;  ///< as products read it: the value itself, or where ParameterSpec::rounded, a matrix in bf16

  /// The weight as a pass works with it.
  TrainedTensor trained() const { return {working, gradient}; }
};

/// The ranks that hold the same weights, and whether each keeps the optimiser's state of a piece of them alone:
/// moments, and fp32 values of what products read in bf16.
struct WeightSharing {
  struct Holders {
    int ranks = 1, rank = 0;
  };
  Holders replicated, experts;
  bool shards_state = false;
};
WeightSharing weight_sharing(const RankGroups& groups, bool shards_state);

/// All weights of one kind behind one another, fp32 [n] each, zeros at the end where the deal wants them; those of
/// training are empty where nothing is trained.
struct FlatParameters {
  Tensor value, gradient, first_moment, second_moment;
  Tensor rounded;                     ///< bf16 [n], of which matrices to be rounded are read, or empty
  std::vector<std::int64_t> offsets;  ///< where each weight begins, then n
  std::vector<bool> vectors;          ///< whether it is one, as norms are
  Deal deal;                          ///< to the ranks that hold them
  /// Moments are this rank's pieces alone, [deal.own()], and where there is `rounded` so are values.
  bool in_pieces = false;
  Tensor stretch;  ///< fp32 [deal.longest()] where values are in pieces: room for one stretch of all ranks'
  /// A weight that products read in fp32 although values are in pieces.
  struct Whole {
    std::int64_t offset;
    Tensor value;  ///< [elements]
  };
  std::vector<Whole> wholes;

  bool values_in_pieces() const { return in_pieces && rounded.elements() > 0; }
  /// This rank's piece of a stretch of `all`, which is [n] or in pieces.
  Tensor piece(const Tensor& all, std::int64_t index) const;
  /// Values of stretch `index`, which lie in `stretch`, become those that products read.
  void take_stretch(std::int64_t index, const Stream& stream) const;
};

/// This rank's weights, on any device. Replicated ones lie together, and expert ones, and those not trained, each kind
/// in the order of the specs and without gaps, so that gradients are reduced in one go and neighbours (gate_proj,
/// up_proj of one expert) are one matrix. Only the first of each kind is aligned to 64 bytes.
class Parameters {
 public:
  /// Allocates and zeroes everything; gradients and moments only where the weights are to be trained. `dtype` is that
  /// of rounded matrices as products read them, fp32, or on a device bf16. Views the stream, on which it works and
  /// whose device has the memory. Throws kInternal for a name that stands twice.
  Parameters(std::span<const ParameterSpec> specs, bool trained, const Stream& stream = host_stream(),
             DType dtype = DType::kF32, const WeightSharing& sharing = {});

  std::span<Parameter> all() { return parameters_; }
  std::span<const Parameter> all() const { return parameters_; }
  /// Throws kBadInput for an unknown name.
  Parameter& at(std::string_view name);
  const Parameter& at(std::string_view name) const;
  bool contains(std::string_view name) const;

  const FlatParameters& replicated() const { return replicated_; }
  const FlatParameters& experts() const { return experts_; }
  const WeightSharing& sharing() const { return sharing_; }
  /// Of all that was allocated.
  std::size_t bytes() const;
  void zero_gradients();

  /// Takes over all values, and moments that both have, from parameters of the same names and shapes, of which one lies
  /// on the host; where state is in pieces, in the same ones and order. Values that are in pieces there alone become
  /// this rank's pieces of values here. Done when the stream of the one on a device is.
  void copy_from(const Parameters& other);
  /// The same of gradients.
  void copy_gradients_from(const Parameters& other);

 private:
  /// One kind of weights, and how they are kept.
  struct Kind {
    std::function<bool(const ParameterSpec&)> holds;
    bool learning;
    DType dtype;
    WeightSharing::Holders holders = {};
  };
  Tensor allocate(std::int64_t elements, DType dtype = DType::kF32);
  /// Memory for one kind.
  FlatParameters allocate_all(std::span<const ParameterSpec> specs, const Kind& kind);
  /// Gives one kind its place.
  FlatParameters lay_out(std::span<const ParameterSpec> specs, const Kind& kind);

  void copy_each(const Parameters& other, std::span<Tensor Parameter::*const> members);
  /// Of the one of both that lies on a device.
  const Stream& stream_with(const Parameters& other) const;

  /// What copy_each() leaves out: what is in pieces, and what is rounded.
  void copy_flat(const FlatParameters& from, const FlatParameters& to, const Stream& stream);

  const Stream* stream_;
  WeightSharing sharing_;
  std::vector<Buffer> memory_;
  std::vector<Parameter> parameters_;
  std::map<std::string, std::size_t, std::less<>> index_;
  FlatParameters replicated_, experts_, untrained_;
};

}  // namespace coe
