// One Chain-of-Experts layer, CoE-2(1/4), over four thread ranks with one expert each. A token has D = 5 features: a
// tag (which of the first four is 32) and a value (the last one). Expert e adds (e + 1) times the value to it. The
// first gate sends tag k to expert k; the second sends it to expert k + 1, so that the second iteration works on what
// the first made of the value: tag 0 makes 1 + 1 = 2 times, then 1 + 2 = 3 times it.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "comm/make_transport.h"
#include "runtime/exchange/one_copy_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/model/model_parameters.h"

namespace coe {
namespace {

constexpr std::int64_t kExperts = 4, kTokens = 4;
constexpr float kOn = 32;  // silu(32) is 32 in fp32, and the softmax of (32, 0, 0, 0) is (1, 0, 0, 0)
constexpr std::array kFactors = {2 * 3, 3 * 4, 4 * 5, 5 * 2};

void set_weights(Parameters& parameters, std::int64_t expert) {
  for (std::int64_t t = 0; t < 2; ++t) {
    const Tensor gate = parameters.at("gate." + std::to_string(t) + ".weight").value;  // [N, D]
    for (std::int64_t tag = 0; tag < kExperts; ++tag) gate[(tag + t) % kExperts].data<float>()[tag] = 1;
  }
  const std::string name = "experts." + std::to_string(expert);
  std::fill_n(parameters.at(name + ".gate_proj.weight").value.data<float>(), kExperts, 1.0F);  // 32, whatever the tag,
  parameters.at(name + ".up_proj.weight").value.data<float>()[kExperts] = 1;                   // times the value
  parameters.at(name + ".down_proj.weight").value.data<float>()[kExperts] = static_cast<float>(expert + 1) / kOn;
}

/// What the layer makes of this rank's tokens: tags 0 to 3, each with the value rank + 1.
std::vector<float> run_rank(Transport& world) {
  const LayerConfig config{
      .hidden = kExperts + 1, .expert_hidden = 1, .experts = kExperts, .top_k = 1, .iterations = 2};
  const RankGroups groups(world, 0, kDefaultDeadline);
  const Placement placement(config.experts, world.size());
  const ExpertIds& mine = placement.experts_of(world.rank());  // one expert, the rank's number
  Parameters parameters(chain_specs(config, "", mine), false);
  set_weights(parameters, mine[0]);

  OneCopyExchange exchange(groups.experts(), config.hidden);
  PartTimes times;
  LayerWorkspace workspace = make_layer_workspace(config, groups);
  ChainLayer layer(config, 0, {&groups, &placement, &exchange, &workspace, &times},
                   chain_weights(config, "", mine, parameters));
  Arena arena;
  const Tensor x = arena.zeros<float>({kTokens, config.hidden});
  for (std::int64_t tag = 0; tag < kTokens; ++tag) {
    x[tag].data<float>()[tag] = kOn;
    x[tag].data<float>()[kExperts] = static_cast<float>(world.rank() + 1);
  }
  const Tensor y = layer.forward(x, deal_batch(world.size(), kTokens, groups), {}, nullptr, arena).y;
  std::vector<float> values;
  for (std::int64_t tag = 0; tag < kTokens; ++tag) values.push_back(y[tag].data<float>()[kExperts]);
  return values;
}

}  // namespace
}  // namespace coe

int main() {
  std::array<std::vector<float>, 4> values;
  coe::run_local_ranks(4, [&](coe::Transport& world) { values.at(world.rank()) = coe::run_rank(world); });
  int wrong = 0;
  for (int rank = 0; rank < 4; ++rank) {
    for (int tag = 0; tag < 4; ++tag) {
      const int factor = coe::kFactors.at(tag);
      const float value = values.at(rank).at(tag), expected = static_cast<float>(factor * (rank + 1));
      fmt::print("rank {}, tag {}: {} became {}, {} times as much\n", rank, tag, rank + 1, value, factor);
      wrong += std::abs(value - expected) > 1e-3F;
    }
  }
  return wrong == 0 ? 0 : 1;
}
