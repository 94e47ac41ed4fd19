#pragma once

#include <optional>

#include "comm/group.h"
#include "runtime/model/model.h"
#include "runtime/model/parameters.h"

namespace coe {

/// This rank's weights of a model where the host can read and write them: the model's own, or of a model on a device a
/// copy, which is made when it is first asked for and lasts. Views the model and the group, whose patience bounds waits
/// for the device.
class HostWeights {
 public:
  HostWeights(Model& model, const Group& group) : model_(&model), group_(group) {}

  /// Memory for values and moments, as they were last read or written.
  Parameters& memory();
  /// The same, as they are now; where values are in pieces, this rank's pieces of them.
  const Parameters& read();
  /// The same with this rank's gradients alone brought up to date.
  const Parameters& read_gradients();
  /// The model's values and moments become those of memory().
  void write();

 private:
  bool is_copy() const { return model_->stream().device() != kCpu; }

  Model* model_;
  Group group_;
  std::optional<Parameters> copy_;
};

}  // namespace coe
