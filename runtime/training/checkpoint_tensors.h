#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "comm/group.h"
#include "kernels/memory/buffer.h"
#include "runtime/files/safetensors.h"
#include "runtime/model/parameters.h"

namespace coe {

/// What of its weights a rank writes into a checkpoint: of a weight "w" the tensors "w", "w.first_moment" and
/// "w.second_moment", each whole, whoever keeps it. Views the weights.
struct WrittenTensors {
  std::vector<NamedTensor> tensors;
  Buffer gathered;  ///< moments that others keep
};

/// All weights of one kind (experts, or the others), where this rank has them whole.
WrittenTensors written_tensors(const Parameters& parameters, bool expert);

/// Those of one kind whose state lies in pieces, of which each rank of `holders` writes a run of neighbours, about as
/// many numbers as the others: memory for the moments of a run is all that it takes. Values of the run become whole in
/// `parameters`. Host memory. Collective over the holders; throws what wait() throws.
WrittenTensors gather_written_tensors(const Parameters& parameters, bool expert, const Group& holders);

/// Where a tensor of a checkpoint goes: all of it, or what of it lies in this rank's pieces.
struct WantedTensor {
  struct Part {
    std::int64_t first = 0;  ///< element of the tensor
    Tensor into;
  };
  Shape shape;
  std::vector<Part> parts;
};

/// What a rank reads of a checkpoint, by the tensors' names: values of all its weights, moments where they are trained.
std::map<std::string, WantedTensor> wanted_tensors(const Parameters& parameters);

}  // namespace coe
