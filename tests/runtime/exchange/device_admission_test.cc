#include "runtime/exchange/device_admission.h"

#include <random>

#include "comm/make_transport.h"
#include "runtime/routing/admission.h"
#include "tests/kernels/memory/on_device.h"

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

using DeviceAdmissionCuda = OnCuda;

TEST_F(DeviceAdmissionCuda, KeepsWhatTheCpuKeeps) {
  const auto world = make_transport("local");
  for (const auto& [policy, tokens] : {std::pair<DropPolicy, std::int64_t>{DropPolicy::kPosition, 37},
                                       {DropPolicy::kProbability, 0},
                                       {DropPolicy::kProbability, 1},
                                       {DropPolicy::kProbability, 37},
                                       {DropPolicy::kProbability, 300}}) {
    const LayerConfig config{.experts = 9, .top_k = 3, .drop_policy = policy, .capacity_factor = 0.8};
    const Choices made(tokens, config.experts, config.top_k);
    const Tensor no_weight = room(DType::kF32, {tokens * config.top_k});
    const cuda::DeviceChoices choices{put(made.offsets), put(made.expert), no_weight, put(made.score), {}};
    Arena host, arena = poisoned_arena(1 << 20);
    Routed routed;
    routed.routing.experts = config.experts;
    routed.routing.offsets = made.offsets;
    routed.routing.expert = made.expert;
    routed.routing.score = made.score;
    routed.routing.kept = made.kept;
    const Ints counts({1, config.experts});
    for (const std::int32_t e : made.expert) ++counts[e];
    admit(config, tokens, routed, counts, {world.get()}, {"admission"}, host);

    const DeviceExchange exchange(
        {world.get()}, {.rows = 1, .hidden = 1, .experts = config.experts, .slots = 1, .scores = tokens * config.top_k},
        stream_);
    const auto capacity = static_cast<std::int32_t>(capacity_of(config, tokens));
    const DevicePlan plan = count_choices(choices, {}, config.experts, arena, stream_);
    const DeviceAsks asks = asks_of(choices, arena);
    const Tensor rows = put(Ints({1, config.experts}));
    ask_for_places(config.drop_policy, asks, plan, 0, put(Ints({2}, {0, 9})), exchange, arena, stream_);
    grant_places(config.drop_policy, asks, 0, {capacity, false}, rows, exchange, arena, stream_);
    EXPECT_EQ(get<std::uint8_t>(asks.granted).values(), made.kept.values()) << tokens << " tokens";
    EXPECT_EQ(get<std::int32_t>(rows).values(), counts.values()) << tokens << " tokens";
  }
}

}  // namespace
}  // namespace coe
