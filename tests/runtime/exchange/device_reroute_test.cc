#include "runtime/exchange/device_reroute.h"

#include "comm/make_transport.h"
#include "runtime/routing/admission.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr std::int64_t kExperts = 9;

LayerConfig layer_of(DropPolicy policy, std::int64_t rounds) {
  LayerConfig layer{.hidden = 12, .experts = kExperts, .top_k = 3, .drop_policy = policy, .capacity_factor = 0.7};
  layer.reroute_rounds = rounds;
  layer.norm_topk_prob = layer.router_bias = rounds > 1;
  layer.groups = layer.groups_kept = 3;
  if (rounds > 2) layer.groups_kept = 2;
  return layer;
}

class DeviceRerouteCuda : public OnCuda {
 protected:
  /// One rank's choices, weights and places on the device against the CPU's.
  void compare(const LayerConfig& config, std::int64_t tokens) {
    const Batch batch{.sequences = tokens, .length = 1, .group_sequences = tokens, .world_sequences = tokens};
    const Floats x = normal_tensor({tokens, config.hidden}, 1), weight = normal_tensor({kExperts, config.hidden}, 2),
                 bias = normal_tensor({config.router_bias ? kExperts : 0}, 3, 0.1F);
    for (std::int64_t t = 0; t < tokens; ++t) x[t * config.hidden] = 3;  // everybody wants the same experts
    Arena host, arena = poisoned_arena(1 << 22);
    const auto router = make_router(config);
    const Floats gradient(weight.tensor().shape());
    const Gate cpu(config, 0, 0, {.weight = {weight, gradient}, .noise = {}, .bias = bias}, *router);
    GateSaved saved;
    Routed routed = cpu.forward(x, batch, {.l1_coeff = 0, .random = {}}, saved, host);
    const auto world = make_transport("local");
    const Ints counts({1, kExperts});
    std::ranges::copy(routed.counts.span<std::int32_t>(), counts.begin());
    routed.routing = admit(config, tokens, routed, counts, {world.get()}, {"admission"}, host);
    router->weigh(routed.routing);

    const DeviceGate gate(
        config, 0, 0,
        {.weight = {put(weight), put(gradient)}, .noise = {}, .bias = config.router_bias ? put(bias) : Tensor{}});
    DeviceRouted there = gate.forward(put(x), batch, {}, put(Ints({1}, {cuda::kNoneLost})), arena, stream_);
    const DeviceExchange exchange({world.get()},
                                  {.rows = 1,
                                   .hidden = 1,
                                   .experts = kExperts,
                                   .slots = 1,
                                   .scores = tokens * config.top_k,
                                   .rounds = static_cast<int>(config.reroute_rounds) + 1},
                                  stream_);
    const cuda::BucketLimit limit{static_cast<std::int32_t>(capacity_of(config, tokens)), false};
    const Tensor all = put(Ints({2}, {0, kExperts})), taken = put(Ints({1, kExperts}));
    const DeviceAsks first = asks_of(there.choices, arena);
    const DevicePlan plan = count_choices(there.choices, {}, kExperts, arena, stream_);
    ask_for_places(config.drop_policy, first, plan, 0, all, exchange, arena, stream_);
    grant_places(config.drop_policy, first, 0, limit, taken, exchange, arena, stream_);
    const DeviceStandbys standbys = stand_by(there.choices, arena, stream_);
    for (int round = 1; round <= config.reroute_rounds; ++round) {
      const DevicePlan asked = ask_next_best(gate, there, first.granted, round, standbys, arena, stream_);
      ask_for_places(config.drop_policy, standbys.asks, asked, round, all, exchange, arena, stream_);
      grant_places(config.drop_policy, standbys.asks, round, limit, taken, exchange, arena, stream_);
    }
    const DevicePlan merged = merge_standbys(gate, first.granted, standbys, there, arena, stream_);

    const Routing& wanted = routed.routing;
    const auto same_first = [&](const auto& got, const auto& values) {
      return std::equal(values.begin(), values.end(), got.begin());
    };
    EXPECT_TRUE(same_first(get<std::int32_t>(there.choices.offsets), wanted.offsets.span<std::int32_t>()));
    EXPECT_TRUE(same_first(get<std::int32_t>(there.choices.expert), wanted.expert.span<std::int32_t>()));
    EXPECT_TRUE(same_first(get<std::uint8_t>(there.choices.chosen), wanted.chosen.span<std::uint8_t>()));
    EXPECT_TRUE(same_first(get<std::uint8_t>(merged.kept), wanted.kept.span<std::uint8_t>()));
    EXPECT_EQ(get<std::int32_t>(taken).values(), counts.values());
    EXPECT_EQ(get<std::int32_t>(merged.totals).values(), counts.values());
    const auto weights = wanted.weight.span<float>();
    EXPECT_LE(error_of(get<float>(there.choices.weight), Floats({wanted.choices()}, {weights.begin(), weights.end()}),
                       wanted.choices()),
              1e-5);
    EXPECT_EQ(wanted.choices() > tokens * config.top_k, tokens > 1) << "whether anything was rerouted";
  }
};

TEST_F(DeviceRerouteCuda, PutsWhatWasDroppedWhereTheCpuDoes) {
  for (const DropPolicy policy : {DropPolicy::kPosition, DropPolicy::kProbability}) {
    for (const std::int64_t rounds : {1, 2, 9}) {
      for (const std::int64_t tokens : {0, 1, 70, 301}) compare(layer_of(policy, rounds), tokens);
    }
  }
}

}  // namespace
}  // namespace coe
