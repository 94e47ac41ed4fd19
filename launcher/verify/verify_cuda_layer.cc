#include "launcher/verify/verify_cuda_layer.h"

#include "comm/collectives.h"
#include "kernels/memory/copy.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/layer/check_device.h"
#include "runtime/layer/layer_size.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/read_back.h"
#include "runtime/training/optimiser.h"

namespace coe {
namespace {

constexpr Phase kPhase{"verifying on the device"};

Tensor uploaded(const Tensor& host, Arena& arena, const Stream& stream) {
  const Tensor there = arena.make(host.dtype(), host.shape());
  copy(host, there, stream);
  return there;
}

/// [T, N] flags of the choices: the router's, or those that have a place.
std::vector<float> flags(const IterationSaved& state, bool kept, std::int64_t experts, const RankGroups& groups,
                         const Stream& stream) {
  const Routing& routing = state.routed.routing;
  const auto offsets = read_back<std::int32_t>(routing.offsets, groups.experts(), stream, kPhase);
  const auto expert = read_back<std::int32_t>(routing.expert, groups.experts(), stream, kPhase);
  std::vector<std::uint8_t> chosen(expert.size(), 1);
  if (!kept && routing.chosen.elements() > 0)
    chosen = read_back<std::uint8_t>(routing.chosen, groups.experts(), stream, kPhase);
  const auto holder = read_back<std::int32_t>(state.plan.places.holder, groups.experts(), stream, kPhase);
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

void run_cuda_layer(const CaseFile& file, const RankGroups& groups, const Placement& placement, const Stream& stream,
                    Parameters& parameters, CaseResults& results) {
  const LayerConfig& config = file.layer();
  check_cuda_layer(config);
  const Tensor whole = file.tensors().tensor("input");
  const Batch batch = deal_batch(whole.extent(0) / file.length(), file.length(), groups);
  const auto mine = [&](const std::string& name) {
    return file.tensor(name, DType::kF32, whole.shape()).rows(batch.first_sequence * batch.length, batch.tokens());
  };
  const ExpertIds& experts = placement.experts_of(groups.experts().rank());
  Parameters weights(chain_specs(config, "", experts, ExpertOrder::kByMatrix), true, stream, DType::kF32,
                     weight_sharing(groups, false));
  weights.copy_from(parameters);
  const std::int64_t rows = most_rows(config, placement, batch.group_tokens());
  const auto exchange = make_exchange(ExchangeOrder::kExact, groups.experts(), {config.hidden},
                                      ChainLayer::flight_hint(1, config.iterations, rows), stream);
  LayerWorkspace workspace = make_layer_workspace(config, groups, batch.most_tokens(groups.experts().size()), stream);
  PartTimes times;
  const ChainContext context{.groups = &groups,
                             .placement = &placement,
                             .exchange = exchange.get(),
                             .workspace = &workspace,
                             .times = &times,
                             .stream = &stream};
  ChainLayer layer(config, 0, context, chain_weights(config, "", experts, weights));
  Arena arena(0, stream.device());
  const Tensor x = uploaded(mine("input"), arena, stream), dy = uploaded(mine("grad_output"), arena, stream);
  const Tensor dx = arena.make<float>(x.shape());
  ChainSaved saved;
  const auto [y, balance_loss] = layer.forward(x, batch, {.l1_coeff = config.l1_coeff, .random = {}}, &saved, arena);
  layer.backward(dy, saved, dx, arena);
  parameters.copy_gradients_from(weights);
  results.gather("output", read_back<float>(y, groups.experts(), stream, kPhase));
  results.gather("grad.input", read_back<float>(dx, groups.experts(), stream, kPhase));
  double loss = read_back<double>(balance_loss, groups.experts(), stream, kPhase).front();
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
