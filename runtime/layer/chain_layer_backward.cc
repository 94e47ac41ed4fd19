#include <algorithm>
#include <array>

#include "kernels/decoder/rms_norm.h"
#include "kernels/memory/copy.h"
#include "kernels/routing/rows.h"
#include "runtime/layer/chain_layer.h"

namespace coe {

void ChainLayer::backward(const Tensor& dy, ChainSaved& saved, const Tensor& dx, Arena& arena) {
  frames_.reset();
  for (std::size_t c = 0; c < saved.chunks.size(); ++c) {
    const auto [first, count] = saved.chunks[c].tokens;
    passes_.push_back(pass_backward(
        {dy.rows(first, count), dx.rows(first, count), saved.chunks[c], arena_of(c, saved, arena), static_cast<int>(c)},
        frames_));
  }
  run_passes();
  for (std::size_t c = 0; saved.chunks.size() > 1 && c < saved.chunks.size(); ++c) {
    context_.workspace->arenas[c].reset(saved.chunks[c].begin);
  }
}

Task ChainLayer::begin_backward(const Tensor& dy, ChainSaved& saved, const Tensor& dx, Arena& arena) {
  frames_.reset();
  return pass_backward({dy, dx, saved.chunks.front(), arena}, frames_);
}

Task ChainLayer::pass_backward(Backward pass, FrameArena& /*frames*/) {
  const Arena::Mark begin = pass.arena.mark();
  // The first iteration's gradient goes into dx unless that is dy and dy is still needed.
  const bool needed = iterations() == 1 || config_.residual == Residual::kOuter;
  const bool apart = pass.dx.raw() == pass.dy.raw() && needed;
  const auto gradient = [&] { return pass.arena.make(pass.dy.dtype(), pass.dy.shape()); };
  const Tensor first = apart ? gradient() : pass.dx;
  std::array<Tensor, 2> passing;
  for (int i = 0; i < std::min(iterations() - 1, 2); ++i) passing[static_cast<std::size_t>(i)] = gradient();
  const TokensSummed nobody;
  Tensor d = pass.dy;
  for (int t = iterations() - 1; t >= 0; --t) {
    const Arena::Mark mark = pass.arena.mark();
    IterationSaved& at = pass.saved.iterations[static_cast<std::size_t>(t)];
    const Tensor earlier = t == 0 ? first : passing[static_cast<std::size_t>((t - 1) % 2)];
    const Tensor dnormed = config_.iteration_norm ? gradient() : earlier;
    const Tensor dweight = pass.arena.make<float>({at.routed.routing.choices()});
    context_.times->place = {layer_, t, pass.chunk, true};
    const double sent = StepTrace::now();
    Flight flight = dispatch_gradient(t, d, at);
    const ExpertRows rows = co_await Timed(*context_.times, Part::kDispatch, flight.arrived());
    experts_backward(rows, flight.results(), at, pass.arena);
    flight.send_back(phase("backward combine", t));
    const Tensor shared = shared_backward(d, at, pass.saved.batch, pass.arena);
    const Tensor passed_on = residual(t, 0, d, pass.dy);
    // The host adds it after the gate's part: the order of its sums is part of its results.
    const bool combined = !config_.iteration_norm && !d.on_host();
    const Combination sums{
        .sum = dnormed, .scalar = &dweight, .shared = shared, .residual = combined ? passed_on : Tensor{}};
    co_await Timed(*context_.times, Part::kCombine, flight.combine(sums, nobody));

    trace_flight(sent);
    counters_.add_bytes(t, flight.bytes_sent());
    gate_backward(t, combined ? Tensor{} : passed_on, dnormed, dweight, earlier, pass);
    pass.arena.reset(mark);
    d = earlier;
  }
  if (apart) copy(first, pass.dx, stream());
  pass.arena.reset(begin);
}

Flight ChainLayer::dispatch_gradient(int t, const Tensor& d, IterationSaved& saved) {
  const PartTimer timer(*context_.times, Part::kDispatch);
  return context_.exchange->begin(saved.plan, {.x = &d, .weights = {}, .scalar = &saved.routed.routing.weight},
                                  phase("backward dispatch", t));
}

void ChainLayer::experts_backward(const ExpertRows& d, const ExpertRows& dx, IterationSaved& saved, Arena& arena) {
  const PartTimer timer(*context_.times, Part::kExperts);
  experts_.backward(d, dx, saved.experts, arena);
  saved.flight = {};
}

void ChainLayer::gate_backward(int t, const Tensor& residual, const Tensor& dnormed, const Tensor& dweight,
                               const Tensor& dx, Backward& pass) {
  const PartTimer timer(*context_.times, Part::kGate);
  const IterationSaved& saved = pass.saved.iterations[static_cast<std::size_t>(t)];
  gates_[static_cast<std::size_t>(t)].backward(pass.saved.batch, saved.gate, saved.routed, dweight, saved.balance,
                                               dnormed, pass.arena);
  const bool added = residual.elements() > 0;
  if (!config_.iteration_norm) {
    if (added) add(residual, 1, dx, stream());
    return;
  }
  added ? copy(residual, dx, stream()) : clear(dx, stream());
  const TrainedTensor& norm = weights_.norms[static_cast<std::size_t>(t)];
  rms_norm_backward(saved.x, norm.value, saved.inverse_rms, dnormed, dx, norm.gradient, pass.arena, stream());
}

Tensor ChainLayer::shared_backward(const Tensor& d, const IterationSaved& saved, const Batch& batch,
                                   Arena& arena) const {
  if (!shared_) return {};
  const PartTimer timer(*context_.times, Part::kExperts);
  const Tensor dx = arena.make(d.dtype(), d.shape());
  shared_->backward(saved.normed, batch.length, saved.shared_ab, d, dx, arena);
  return dx;
}

}  // namespace coe
