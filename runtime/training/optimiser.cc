#include "runtime/training/optimiser.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "comm/collectives.h"
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
  add_kind(parameters.replicated(), groups.world(), {"gradient reduction"}, {"gathering weights"});
  add_kind(parameters.experts(), groups.replicas(), {"expert gradient reduction"}, {"gathering expert weights"});
}

void Optimiser::add_kind(const FlatParameters& weights, const Group& group, const Phase& reduction,
                         const Phase& gathering) {
  if (weights.deal.ranks() != group.size()) {
    fail(ErrorCode::kInternal, "optimiser: weights are dealt to ", weights.deal.ranks(), " ranks, the group has ",
         group.size());
  }
  Kind& kind = kinds_.emplace_back(weights, group, *stream_, reduction, gathering);
  kind.runs = runs_of(weights);
  kind.left = weights.deal.stretches();
  kind.ranks.summed = [this](double posted, double there) {
    if (trace_ != nullptr) trace_->add({Span::Track::kReduction, Part::kReduce, {.backward = true}, posted, there});
  };
}

std::vector<Optimiser::Run> Optimiser::runs_of(const FlatParameters& weights) {
  const Deal& deal = weights.deal;
  if (!weights.in_pieces) {
    const Share all{0, deal.elements()};
    return deal.elements() == 0 ? std::vector<Run>() : std::vector<Run>{run_of(weights, all, all)};
  }
  std::vector<Run> runs;
  for (std::int64_t i = 0; i < deal.stretches(); ++i) runs.push_back(run_of(weights, deal.piece(i), deal.kept(i)));
  return runs;
}

Optimiser::Run Optimiser::run_of(const FlatParameters& weights, const Share& share, const Share& kept) {
  std::vector<std::int64_t> offsets = {0};
  std::vector<std::uint8_t> decayed;
  for (std::size_t i = 0; i < weights.vectors.size(); ++i) {
    const std::int64_t end = std::min(weights.offsets[i + 1] - share.first, share.count);
    if (end <= offsets.back()) continue;
    offsets.push_back(end);
    decayed.push_back(config_.decay == Decay::kAll || !weights.vectors[i] ? 1 : 0);
  }
  const auto placed = [&](void* numbers, DType dtype, std::size_t count) {
    const Tensor there = memory_.make(dtype, {static_cast<std::int64_t>(count)});
    copy(Tensor(numbers, dtype, there.shape()), there, *stream_);
    return there;
  };
  const auto of = [&](const Tensor& all) {
    const Share& part = all.elements() == weights.deal.elements() ? share : kept;
    return all.rows(part.first, part.count);
  };
  // What products read in bf16 of pieces is made of whole stretches, when they have been gathered.
  const bool rounds = weights.rounded.elements() > 0 && !weights.in_pieces;
  return {of(weights.gradient),
          of(weights.value),
          of(weights.first_moment),
          of(weights.second_moment),
          rounds ? of(weights.rounded) : Tensor(),
          placed(offsets.data(), DType::kI64, offsets.size()),
          placed(decayed.data(), DType::kU8, decayed.size())};
}

void Optimiser::begin_reduction(Kind& kind, std::int64_t from) {
  const FlatParameters& weights = *kind.weights;
  for (; kind.left > 0 && weights.deal.stretch(kind.left - 1).first >= from; --kind.left) {
    const auto [first, count] = weights.deal.stretch(kind.left - 1);
    kind.ranks.begin_sum(weights.gradient.rows(first, count), !weights.in_pieces, kind.reduction);
  }
  kind.ranks.advance();
}

void Optimiser::begin_reduction(const FinalFrom& from) {
  begin_reduction(kinds_.front(), from.replicated);
  begin_reduction(kinds_.back(), from.experts);
}

void Optimiser::reduce_gradients() {
  begin_reduction({});
  for (Kind& kind : kinds_) {
    kind.ranks.finish();
    kind.left = kind.weights->deal.stretches();
  }
}

void Optimiser::gather_weights(Kind& kind) {
  const FlatParameters& weights = *kind.weights;
  for (std::int64_t i = 0; i < weights.deal.stretches(); ++i) {
    const auto [first, count] = weights.deal.stretch(i);
    const bool pieces = weights.values_in_pieces();
    const Tensor all = pieces ? weights.stretch.rows(0, count) : weights.value.rows(first, count);
    kind.ranks.all_gather(weights.piece(weights.value, i), all, kind.gathering);
    if (pieces) weights.take_stretch(i, *stream_);
  }
}

// Every rank counts its own pieces, in one order, whoever keeps the state.
double Optimiser::gradient_norm() {
  constexpr Phase kPhase{"gradient norm"};
  std::int64_t pieces = 0;
  for (const Kind& kind : kinds_) pieces += kind.weights->deal.stretches();
  ArenaScope scratch(scratch_);
  const Tensor sums = scratch_.make<double>({pieces});
  std::int64_t next = 0;
  for (const Kind& kind : kinds_) {
    for (std::int64_t i = 0; i < kind.weights->deal.stretches(); ++i) {
      sum_of_squares(kind.weights->piece(kind.weights->gradient, i), sums.rows(next++, 1), scratch_, *stream_);
    }
  }
  const std::vector<double> squares = read_back<double>(sums, groups_->world(), *stream_, kPhase);
  double sum = std::accumulate(squares.begin(), squares.end(), 0.0);
  all_reduce_sum<double>(groups_->world(), {&sum, 1}, kPhase);
  return std::sqrt(sum);
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
  for (Kind& kind : kinds_) {
    for (const Run& run : kind.runs) {
      adamw(options, run.offsets, run.decayed, run.gradient, run.value, run.first_moment, run.second_moment,
            run.rounded, *stream_);
    }
    if (kind.weights->in_pieces) gather_weights(kind);
  }
}

}  // namespace coe
