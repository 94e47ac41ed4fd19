#include "runtime/training/optimiser.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "comm/collectives.h"
#include "kernels/decoder/adamw.h"

namespace coe {

double learning_rate_at(const TrainingConfig& config, std::int64_t step) {
  const double peak = config.learning_rate;
  if (step <= config.warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(config.warmup_steps);
  if (config.schedule == Schedule::kConstant || config.steps <= config.warmup_steps) return peak;
  const double done =
      static_cast<double>(step - config.warmup_steps) / static_cast<double>(config.steps - config.warmup_steps);
  const double low = config.final_learning_rate;
  return low + (peak - low) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(done, 1.0)));
}

double annealed(const TrainingConfig& config, std::int64_t step) {
  if (step <= config.warmup_steps || config.learning_rate == 0) return 1;
  return learning_rate_at(config, step) / config.learning_rate;
}

void Optimiser::reduce_gradients() {
  all_reduce_sum<float>(groups_->world(), parameters_->replicated_gradients().span<float>(), {"gradient reduction"});
  all_reduce_sum<float>(groups_->replicas(), parameters_->expert_gradients().span<float>(),
                        {"expert gradient reduction"});
}

double Optimiser::gradient_norm() const {
  double sharded = sum_of_squares(parameters_->expert_gradients());
  all_reduce_sum<double>(groups_->experts(), {&sharded, 1}, {"gradient norm"});
  return std::sqrt(sharded + sum_of_squares(parameters_->replicated_gradients()));
}

void Optimiser::update(std::int64_t step, double gradient_norm) {
  constexpr double kFloor = 1e-6;  // as PyTorch's clip_grad_norm_
  AdamW options;
  options.learning_rate = static_cast<float>(learning_rate_at(config_, step));
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.adam_eps;
  options.step = step;
  if (config_.clip > 0) {
    options.gradient_scale = static_cast<float>(std::min(1.0, config_.clip / (gradient_norm + kFloor)));
  }
  for (Parameter& parameter : parameters_->all()) {
    if (parameter.gradient.raw() == nullptr) continue;
    const bool decays = config_.decay == Decay::kAll || parameter.value.shape().rank() > 1;
    options.weight_decay = decays ? config_.weight_decay : 0.0F;
    adamw(options, parameter.gradient, parameter.value, parameter.first_moment, parameter.second_moment);
  }
}

}  // namespace coe
