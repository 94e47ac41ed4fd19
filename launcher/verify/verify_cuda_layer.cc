#include "launcher/verify/verify_cuda_layer.h"

#include "comm/collectives.h"
#include "kernels/memory/copy.h"
#include "runtime/exchange/stream_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/check_device.h"
#include "runtime/layer/copied_weights.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"
#include "runtime/training/optimiser.h"

namespace coe {
namespace {

constexpr Phase kPhase{"verifying on the device"};

Tensor uploaded(const Tensor& host, Arena& arena, const Stream& stream) {
  const Tensor there = arena.make(host.dtype(), host.shape());
  copy(host, there, stream);
  return there;
}

/// A tensor's numbers, once all the work given to the stream is done.
template <class T>
std::vector<T> downloaded(const Tensor& there, const RankGroups& groups, const Stream& stream) {
  std::vector<T> numbers(static_cast<std::size_t>(there.elements()));
  copy(there, Tensor(numbers.data(), there.dtype(), there.shape()), stream);
  wait(groups.experts(), stream, kPhase);
  return numbers;
}

/// [T, N] flags of the choices: the router's, or those that have a place.
std::vector<float> flags(const IterationSaved& state, bool kept, std::int64_t experts, const RankGroups& groups,
                         const Stream& stream) {
  const Routing& routing = state.routed.routing;
  const auto offsets = downloaded<std::int32_t>(routing.offsets, groups, stream);
  const auto expert = downloaded<std::int32_t>(routing.expert, groups, stream);
  std::vector<std::uint8_t> chosen(expert.size(), 1);
  if (!kept && routing.chosen.elements() > 0) chosen = downloaded<std::uint8_t>(routing.chosen, groups, stream);
  const auto holder = downloaded<std::int32_t>(state.plan.places.holder, groups, stream);
  std::vector<float> result((offsets.size() - 1) * static_cast<std::size_t>(experts));
  for (std::size_t t = 0; t + 1 < offsets.size(); ++t) {
    for (auto j = static_cast<std::size_t>(offsets[t]); j < static_cast<std::size_t>(offsets[t + 1]); ++j) {
      if (kept ? holder[j] < 0 : chosen[j] == 0) continue;
      result[t * static_cast<std::size_t>(experts) + static_cast<std::size_t>(expert[j])] = 1;
    }
  }
  return result;
}

}  // namespace

void run_cuda_layer(const CaseFile& file, const RankGroups& groups, const Placement& placement, Parameters& parameters,
                    CaseResults& results) {
  const LayerConfig& config = file.layer();
  check_cuda_layer(config);
  const Tensor whole = file.tensors().tensor("input");
  const Batch batch = deal_batch(whole.extent(0) / file.length(), file.length(), groups);
  const auto mine = [&](const std::string& name) {
    return file.tensor(name, DType::kF32, whole.shape()).rows(batch.first_sequence * batch.length, batch.tokens());
  };
  const Stream stream(kCuda);
  const ExpertIds& experts = placement.experts_of(groups.experts().rank());
  const ChainWeights host = chain_weights(config, "", experts, parameters);
  const CopiedWeights weights(config, host, DType::kF32, groups.experts(), stream);
  const std::int64_t rows = most_rows(config, placement, batch.group_tokens());
  StreamExchange exchange(groups.experts(), config.hidden, DType::kF32, stream,
                          {.rows = rows, .arrivals = static_cast<int>(config.iterations) + 1, .results = 1});
  LayerWorkspace workspace = make_layer_workspace(config, groups, batch.group_tokens(), stream);
  PartTimes times;
  const ChainContext context{.groups = &groups,
                             .placement = &placement,
                             .exchange = &exchange,
                             .workspace = &workspace,
                             .times = &times,
                             .stream = &stream};
  ChainLayer layer(config, 0, context, weights.views());
  Arena arena(0, kCuda);
  const Tensor x = uploaded(mine("input"), arena, stream), dy = uploaded(mine("grad_output"), arena, stream);
  const Tensor dx = arena.make<float>(x.shape());
  ChainSaved saved;
  const auto [y, balance_loss] = layer.forward(x, batch, {.l1_coeff = config.l1_coeff, .random = {}}, &saved, arena);
  layer.backward(dy, saved, dx, arena);
  weights.read_gradients(host, stream);
  results.gather("output", downloaded<float>(y, groups, stream));
  results.gather("grad.input", downloaded<float>(dx, groups, stream));
  double loss = downloaded<double>(balance_loss, groups, stream).front();
  all_reduce_sum<double>(groups.world(), {&loss, 1}, {"summing losses"});
  results.add("aux_loss", {static_cast<float>(loss)});
  for (std::size_t t = 0; t < saved.chunks.front().iterations.size(); ++t) {
    const IterationSaved& state = saved.chunks.front().iterations[t];
    results.gather("chosen." + std::to_string(t), flags(state, false, config.experts, groups, stream));
    results.gather("kept." + std::to_string(t), flags(state, true, config.experts, groups, stream));
  }
  Optimiser({}, groups, parameters).reduce_gradients();
}

}  // namespace coe
