#include "runtime/model/host_weights.h"

#include "comm/wait.h"
#include "runtime/model/model_parameters.h"

namespace coe {

Parameters& HostWeights::memory() {
  if (!is_copy()) return model_->parameters();
  if (copy_) return *copy_;
  const Parameters& there = model_->parameters();
  const bool trained = there.replicated().gradient.elements() > 0;
  const auto specs = model_specs(model_->config(), model_->experts(), expert_order(model_->stream().device()));
  return copy_.emplace(specs, trained, host_stream(), DType::kF32, there.sharing());
}

const Parameters& HostWeights::read() {
  Parameters& weights = memory();
  if (!is_copy()) return weights;
  weights.copy_from(model_->parameters());
  wait(group_, model_->stream(), {"copying weights from the device"});
  return weights;
}

const Parameters& HostWeights::read_gradients() {
  Parameters& weights = memory();
  if (!is_copy()) return weights;
  weights.copy_gradients_from(model_->parameters());
  wait(group_, model_->stream(), {"copying gradients from the device"});
  return weights;
}

void HostWeights::write() {
  if (!is_copy()) return;
  model_->parameters().copy_from(memory());
  wait(group_, model_->stream(), {"copying weights to the device"});
}

}  // namespace coe
