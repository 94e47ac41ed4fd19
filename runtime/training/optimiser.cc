#include "runtime/training/optimiser.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "comm/collectives.h"
#include "comm/device_messages.h"
#include "kernels/decoder/adamw.h"
#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"
#include "runtime/ranks/read_back.h"

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

Optimiser::Optimiser(const TrainingConfig& config, const RankGroups& groups, Parameters& parameters,
                     const Stream& stream)
    : config_(config), groups_(&groups), stream_(&stream), memory_(0, stream.device()), scratch_(0, stream.device()) {
  for (const FlatParameters* weights : {&parameters.replicated(), &parameters.experts()})
    wholes_.push_back(whole(*weights));
}

Optimiser::Whole Optimiser::whole(const FlatParameters& weights) {
  std::vector<std::uint8_t> decayed;
  for (const bool is_vector : weights.vectors) decayed.push_back(config_.decay == Decay::kAll || !is_vector ? 1 : 0);
  std::vector<std::int64_t> offsets = weights.offsets;
  const auto placed = [&](void* numbers, DType dtype, std::size_t count) {
    const Tensor there = memory_.make(dtype, {static_cast<std::int64_t>(count)});
    copy(Tensor(numbers, dtype, there.shape()), there, *stream_);
    return there;
  };
  return {&weights, placed(offsets.data(), DType::kI64, offsets.size()),
          placed(decayed.data(), DType::kU8, decayed.size())};
}

void Optimiser::add_up(const Group& group, const Tensor& gradients, Reduction& reduction, const Phase& phase) {
  if (gradients.on_host()) return all_reduce_sum<float>(group, gradients.span<float>(), phase);
  if (group.size() == 1) return;
  if (group.messages != nullptr) {
    return group.messages->follow(group.messages->all_reduce_sum(gradients, *stream_, phase), *stream_);
  }
  constexpr std::int64_t kAtOnce = std::int64_t{1} << 24;
  if (!reduction) reduction.emplace(group, std::min(gradients.elements(), kAtOnce), *stream_);
  reduction->add_up(gradients, phase);
}

void Optimiser::reduce_gradients() {
  add_up(groups_->world(), wholes_[0].weights->gradient, world_reduction_, {"gradient reduction"});
  add_up(groups_->replicas(), wholes_[1].weights->gradient, replicas_reduction_, {"expert gradient reduction"});
}

double Optimiser::gradient_norm() {
  constexpr Phase kPhase{"gradient norm"};
  ArenaScope scratch(scratch_);
  const Tensor sums = scratch_.make<double>({std::ssize(wholes_)});
  for (std::size_t i = 0; i < wholes_.size(); ++i) {
    sum_of_squares(wholes_[i].weights->gradient, sums.rows(static_cast<std::int64_t>(i), 1), scratch_, *stream_);
  }
  const std::vector<double> squares = read_back<double>(sums, groups_->world(), *stream_, kPhase);
  double sharded = squares[1];
  all_reduce_sum<double>(groups_->experts(), {&sharded, 1}, kPhase);
  return std::sqrt(sharded + squares[0]);
}

void Optimiser::update(std::int64_t step, double gradient_norm) {
  constexpr double kFloor = 1e-6;  // as PyTorch's clip_grad_norm_
  AdamW options;
  options.learning_rate = static_cast<float>(learning_rate_at(config_, step));
  options.beta1 = config_.beta1;
  options.beta2 = config_.beta2;
  options.eps = config_.adam_eps;
  options.weight_decay = config_.weight_decay;
  options.step = step;
  if (config_.clip > 0) {
    options.gradient_scale = static_cast<float>(std::min(1.0, config_.clip / (gradient_norm + kFloor)));
  }
  for (const auto& [weights, offsets, decayed] : wholes_) {
    if (weights->gradient.elements() == 0) continue;
    adamw(options, offsets, decayed, weights->gradient, weights->value, weights->first_moment, weights->second_moment,
          weights->rounded, *stream_);
  }
}

}  // namespace coe
