#include <random>

#include "comm/make_transport.h"
#include "runtime/routing/gate.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/routing/admitted.h"

namespace coe {
namespace {

/// One rank's choices, T K of them; few different scores, and expert 0 in nearly all.
struct Choices {
  Choices(std::int64_t tokens, std::int64_t experts, std::int64_t top_k)
      : offsets({tokens + 1}), expert({tokens * top_k}), score({tokens * top_k}), kept({tokens * top_k}) {
    std::mt19937 random(7);
    for (std::int64_t t = 0; t < tokens; ++t) {
      const std::int64_t skip = random() % 8 == 0 ? 1 : 0;
      offsets[t + 1] = static_cast<std::int32_t>((t + 1) * top_k);
      for (std::int64_t k = 0; k < top_k; ++k) {
        expert[t * top_k + k] = static_cast<std::int32_t>((k + skip) % experts);
        score[t * top_k + k] = static_cast<float>(random() % 5) / 8;
      }
    }
    std::ranges::fill(kept, std::uint8_t{1});
  }
  Ints offsets, expert;
  Floats score;
  Owned<std::uint8_t> kept;
};

class AdmissionCuda : public OnCuda {
 protected:
  /// A lone rank's admission on the device, tables and all, with `routed` and `table` as the host has them.
  void admit(const LayerConfig& config, std::int64_t tokens, const Tensor& bias, Routed& routed, Tensor& table,
             Arena& arena) {
    const auto world = make_transport("local");
    const auto router = make_router(config, stream_);
    const auto tables =
        make_row_tables({world.get()}, {.experts = config.experts, .scores = tokens * config.top_k}, stream_);
    Admission admission(config, *router, *tables, {world.get()});
    FrameArena frames;
    run(admission.admit({config, tokens, bias, {"admission"}, arena}, routed, table, frames));
    wait();
  }

  void compare_choices(DropPolicy policy, std::int64_t tokens);
  void compare_rerouted(const LayerConfig& config, std::int64_t tokens);
};

void AdmissionCuda::compare_choices(DropPolicy policy, std::int64_t tokens) {
  const LayerConfig config{.experts = 9, .top_k = 3, .drop_policy = policy, .capacity_factor = 0.8};
  const Choices made(tokens, config.experts, config.top_k);
  Arena host, arena = poisoned_arena(1 << 20);
  Routed routed;
  routed.routing.experts = config.experts;
  routed.routing.offsets = made.offsets;
  routed.routing.expert = made.expert;
  routed.routing.score = made.score;
  routed.routing.kept = made.kept;
  const Ints counts({1, config.experts});
  for (const std::int32_t e : made.expert) ++counts[e];
  const Tensor table_before = put(counts);
  const auto world = make_transport("local");
  admitted(config, tokens, routed, counts, {world.get()}, host);

  Routed there;
  there.routing = {.experts = config.experts,
                   .offsets = put(made.offsets),
                   .expert = put(made.expert),
                   .weight = room(DType::kF32, {tokens * config.top_k}),
                   .score = put(made.score),
                   .chosen = {},
                   .kept = {}};
  const ChoiceCounts counted = count_choices(there.routing.on_device(), {}, config.experts, arena, stream_);
  there.counts = counted.totals;
  there.earlier = counted.earlier;
  Tensor table = table_before;
  admit(config, tokens, {}, there, table, arena);
  EXPECT_EQ(get<std::uint8_t>(there.routing.kept).values(), made.kept.values()) << tokens << " tokens";
  EXPECT_EQ(get<std::int32_t>(table).values(), counts.values()) << tokens << " tokens";
  EXPECT_EQ(get<std::int32_t>(there.counts).values(), counts.values()) << tokens << " tokens";
}

TEST_F(AdmissionCuda, KeepsWhatTheCpuKeeps) {
  for (const std::int64_t tokens : {0, 1, 37, 300}) {
    compare_choices(DropPolicy::kPosition, tokens);
    compare_choices(DropPolicy::kProbability, tokens);
  }
}

LayerConfig rerouted_layer(DropPolicy policy, std::int64_t rounds) {
  LayerConfig layer{.hidden = 12, .experts = 9, .top_k = 3, .drop_policy = policy, .capacity_factor = 0.7};
  layer.reroute_rounds = rounds;
  layer.norm_topk_prob = layer.router_bias = rounds > 1;
  layer.groups = layer.groups_kept = 3;
  if (rounds > 2) layer.groups_kept = 2;
  return layer;
}

void AdmissionCuda::compare_rerouted(const LayerConfig& config, std::int64_t tokens) {
  const Batch batch{.sequences = tokens, .length = 1, .group_sequences = tokens, .world_sequences = tokens};
  const Floats x = normal_tensor({tokens, config.hidden}, 1),
               weight = normal_tensor({config.experts, config.hidden}, 2),
               bias = normal_tensor({config.router_bias ? config.experts : 0}, 3, 0.1F);
  for (std::int64_t t = 0; t < tokens; ++t) x[t * config.hidden] = 3;  // everybody wants the same experts
  Arena host, arena = poisoned_arena(1 << 22);
  const auto router = make_router(config), router_there = make_router(config, stream_);
  const Floats gradient(weight.tensor().shape());
  const Gate cpu(config, 0, 0, {.weight = {weight, gradient}, .noise = {}, .bias = bias}, *router);
  GateSaved saved;
  const Routed routed = cpu.forward(x, batch, {}, saved, host);
  const Ints counts({1, config.experts});
  std::ranges::copy(routed.counts.span<std::int32_t>(), counts.begin());
  const auto world = make_transport("local");
  const Routing wanted = admitted(config, tokens, routed, counts, {world.get()}, host);

  const Tensor bias_there = config.router_bias ? put(bias) : Tensor{};
  const Gate gate(config, 0, 0, {.weight = {put(weight), put(gradient)}, .noise = {}, .bias = bias_there},
                  *router_there);
  Routed there = gate.forward(put(x), batch, {}, saved, arena);
  Tensor table = there.counts;
  admit(config, tokens, bias_there, there, table, arena);
  const auto same_first = [&](const auto& got, const auto& values) {
    return std::equal(values.begin(), values.end(), got.begin());
  };
  EXPECT_TRUE(same_first(get<std::int32_t>(there.routing.offsets), wanted.offsets.span<std::int32_t>()));
  EXPECT_TRUE(same_first(get<std::int32_t>(there.routing.expert), wanted.expert.span<std::int32_t>()));
  EXPECT_TRUE(same_first(get<std::uint8_t>(there.routing.chosen), wanted.chosen.span<std::uint8_t>()));
  EXPECT_TRUE(same_first(get<std::uint8_t>(there.routing.kept), wanted.kept.span<std::uint8_t>()));
  EXPECT_EQ(get<std::int32_t>(table).values(), counts.values());
  EXPECT_EQ(get<std::int32_t>(there.counts).values(), counts.values());
  const auto weights = wanted.weight.span<float>();
  const Floats wanted_weights({wanted.choices()}, {weights.begin(), weights.end()});
  EXPECT_LE(error_of(get<float>(there.routing.weight), wanted_weights, wanted.choices()), 1e-5);
  EXPECT_EQ(wanted.choices() > tokens * config.top_k, tokens > 1) << "whether anything was rerouted";
}

TEST_F(AdmissionCuda, PutsWhatWasDroppedWhereTheCpuDoes) {
  for (const DropPolicy policy : {DropPolicy::kPosition, DropPolicy::kProbability}) {
    for (const std::int64_t rounds : {1, 2, 9}) {
      for (const std::int64_t tokens : {0, 1, 70, 301}) compare_rerouted(rerouted_layer(policy, rounds), tokens);
    }
  }
}

}  // namespace
}  // namespace coe
