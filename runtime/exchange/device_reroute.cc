#include "runtime/exchange/device_reroute.h"

#include <algorithm>

#include "kernels/memory/copy.h"

namespace coe {

DeviceStandbys stand_by(const cuda::DeviceChoices& choices, Arena& arena, const Stream& stream) {
  const std::int64_t tokens = choices.offsets.extent(0) - 1;
  const Shape shape = choices.expert.shape();
  const cuda::Standbys kernels{.tried = arena.make<std::int32_t>({tokens, 32}),
                               .expert = arena.make<std::int32_t>(shape),
                               .score = arena.make<float>(shape),
                               .asking = arena.make<std::uint8_t>(shape),
                               .granted = arena.make<std::uint8_t>(shape)};
  clear(kernels.granted, stream);
  return {kernels,
          {choices.offsets, kernels.expert, kernels.score, kernels.asking, kernels.granted,
           arena.make<std::int32_t>(shape)}};
}

DevicePlan ask_next_best(const DeviceGate& gate, const DeviceRouted& routed, const Tensor& kept, int round,
                         const DeviceStandbys& standbys, Arena& arena, const Stream& stream) {
  cuda::ask_next_best(routed.scores.score, gate.bias(), gate.rule(), routed.choices, kept, round == 1, standbys.kernels,
                      stream);
  const cuda::DeviceChoices asked{routed.choices.offsets, standbys.asks.expert, {}, standbys.asks.score, {}};
  return count_choices(asked, standbys.asks.asking, routed.scores.score.extent(1), arena, stream);
}

DevicePlan merge_standbys(const DeviceGate& gate, const Tensor& kept, const DeviceStandbys& standbys,
                          DeviceRouted& routed, Arena& arena, const Stream& stream) {
  const std::int64_t tokens = routed.scores.score.extent(0), experts = routed.scores.score.extent(1);
  const std::int64_t most = tokens * std::min(2 * gate.rule().top_k, experts);
  const cuda::DeviceChoices all{arena.make<std::int32_t>({tokens + 1}), arena.make<std::int32_t>({most}),
                                arena.make<float>({most}), arena.make<float>({most}), arena.make<std::uint8_t>({most})};
  const Tensor all_kept = arena.make<std::uint8_t>({most});
  cuda::merge_standbys(routed.scores.score, gate.rule(), routed.choices, kept, standbys.kernels, all, all_kept, stream);
  routed.choices = all;
  return count_choices(all, all_kept, experts, arena, stream);
}

}  // namespace coe
