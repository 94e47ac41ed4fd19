#include "runtime/ranks/row_table.h"
#include "runtime/routing/balance.h"
#include "runtime/routing/gate.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

constexpr double kL1 = 0.05;
constexpr StepRandom kRandom{.seed = 5, .step = 3, .first_sequence = 2};
constexpr int kLayer = 2;

/// All that a gate does on a device, between them.
std::vector<LayerConfig> layers() {
  const LayerConfig small{.hidden = 20, .experts = 9, .top_k = 3};
  std::vector<LayerConfig> all(11, small);
  all[1].groups = 3;
  all[1].groups_kept = 2;
  all[1].router_bias = all[1].norm_topk_prob = true;
  all[1].balance_loss = BalanceLoss::kSequence;
  all[1].balance_loss_coeff = 0.5F;
  all[1].z_loss_coeff = 0.1F;
  all[2].router = RouterKind::kRelu;
  all[3].routed_scaling_factor = 2.5F;
  all[3].balance_loss = BalanceLoss::kBatch;
  all[3].balance_loss_coeff = 0.5F;
  all[5].router_noise = true;
  all[6] = all[2];
  all[7].router_noise = true;
  all[6].router_jitter = all[7].router_jitter = 0.3F;
  all[8] = all[1];
  all[8].router = RouterKind::kSigmoidTopk;
  all[8].routed_scaling_factor = 2.5F;
  all[9] = all[3];
  all[9].router = RouterKind::kSigmoidTopk;
  all[9].top_k = 1;
  all[9].norm_topk_prob = true;
  all[10].router = RouterKind::kSigmoidTopk;
  all[10].router_noise = true;
  all[10].router_jitter = 0.3F;
  all[4].hidden = 33;
  all[4].experts = 130;
  all[4].top_k = 8;
  return all;
}

Batch batch_of(std::int64_t sequences, std::int64_t length) {
  return {.sequences = sequences, .length = length, .group_sequences = sequences + 2, .world_sequences = sequences + 2};
}

struct GateNumbers {
  GateNumbers(const LayerConfig& config, const Batch& batch, DType dtype)
      : x(rounded(normal_tensor({batch.tokens(), config.hidden}, 1), dtype)),
        weight(normal_tensor({config.experts, config.hidden}, 2, 0.3F)),
        gradient(normal_tensor(weight.tensor().shape(), 3)),
        bias(normal_tensor({config.router_bias ? config.experts : 0}, 4, 0.1F)),
        noise(normal_tensor({config.router_noise ? config.experts : 0, config.hidden}, 7, 0.3F)),
        noise_gradient(normal_tensor(noise.tensor().shape(), 8)),
        dx(rounded(normal_tensor(x.tensor().shape(), 5), dtype)) {
    weight[0] = 2;  // nearly every token wants expert 0
    for (std::int64_t t = 0; t < batch.tokens(); ++t) x[t * config.hidden] = 4;
  }
  Floats x, weight, gradient, bias, noise, noise_gradient, dx;
};

class GateCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  void compare(const LayerConfig& config, const Batch& batch);
};

void GateCuda::compare(const LayerConfig& config, const Batch& batch) {
  const std::int64_t experts = config.experts;
  const GateNumbers host(config, batch, dtype());
  // Before the CPU adds to them.
  const Tensor gradient = put(host.gradient), noise_gradient = put(host.noise_gradient), dx = put(host.dx, dtype()),
               loss = put(Owned<double>({1}, {1}));
  Arena arena;
  const auto router = make_router(config);
  const Gate cpu(
      config, kLayer, 0,
      {.weight = {host.weight, host.gradient}, .noise = {host.noise, host.noise_gradient}, .bias = host.bias}, *router);
  GateSaved saved;
  const Routed routed = cpu.forward(host.x, batch, {.l1_coeff = kL1, .random = kRandom}, saved, arena);
  const std::int64_t choices = routed.routing.choices();
  const Ints table({2, experts});
  for (std::int64_t e = 0; e < experts; ++e) table[experts + e] = static_cast<std::int32_t>(3 * e % 7);
  count_choices(routed.routing, 0, batch.tokens(), table.tensor().rows(0, 1).span<std::int32_t>());
  const Owned<double> host_loss({1}, {1});
  const Tensor world = RowTable(table).totals(arena, host_stream());
  const BalanceGradient balance =
      add_balance_loss(config, {.l1_coeff = kL1}, routed, world, batch, host_loss, arena, host_stream());
  const std::int64_t most = batch.tokens() * (config.router == RouterKind::kRelu ? experts : config.top_k);
  const Floats dweight = normal_tensor({most}, 6);
  cpu.backward(batch, saved, routed, dweight.tensor().rows(0, choices), balance, host.dx, arena);

  Arena memory = poisoned_arena(1 << 22);
  const Tensor x = put(host.x, dtype());
  const Tensor bias = config.router_bias ? put(host.bias) : Tensor{};
  const auto router_there = make_router(config, stream_);
  const Gate gate(config, kLayer, 0,
                  {.weight = {put(host.weight), gradient}, .noise = {put(host.noise), noise_gradient}, .bias = bias},
                  *router_there);
  GateSaved saved_there;
  const RoutingContext context{.l1_coeff = kL1, .random = kRandom};
  const Routed there = gate.forward(x, batch, context, saved_there, memory);
  EXPECT_EQ(get<std::int32_t>(there.counts).values(), std::vector(table.begin(), table.begin() + experts));
  const Tensor world_there = RowTable(put(table)).totals(memory, stream_);
  const BalanceGradient balance_there =
      add_balance_loss(config, context, there, world_there, batch, loss, memory, stream_);
  gate.backward(batch, saved_there, there, put(dweight), balance_there, dx, memory);

  EXPECT_LE(error_of(get<float>(there.scores), Floats(routed.scores.shape(), {routed.scores.span<float>().begin(),
                                                                              routed.scores.span<float>().end()})),
            1e-5);
  const auto same_first = [&](const auto& got, const auto& wanted, std::int64_t count) {
    return std::equal(got.begin(), got.begin() + count, wanted.begin());
  };
  EXPECT_TRUE(same_first(get<std::int32_t>(there.routing.offsets), routed.routing.offsets.span<std::int32_t>(),
                         batch.tokens() + 1));
  EXPECT_TRUE(same_first(get<std::int32_t>(there.routing.expert), routed.routing.expert.span<std::int32_t>(), choices));
  const auto weights = routed.routing.weight.span<float>();
  const Floats got_weights = get<float>(there.routing.weight);
  EXPECT_LE(error_of(got_weights, Floats({choices}, {weights.begin(), weights.end()}), choices), 1e-5);
  EXPECT_NEAR(get<double>(loss)[0], host_loss[0], 1e-6 * std::abs(host_loss[0]));
  EXPECT_LE(error_of(get<float>(dx), host.dx), tolerance(dtype()));
  // With bf16 tokens logits are right to 2^-17, and so is what follows of them.
  const double close = dtype() == DType::kF32 ? 1e-5 : 1e-4;
  EXPECT_LE(error_of(get<float>(gradient), host.gradient), close);
  EXPECT_LE(error_of(get<float>(noise_gradient), host.noise_gradient), close);
  EXPECT_EQ(get<std::int32_t>(there.lost)[0], cuda::kNoneLost);
}

TEST_P(GateCuda, DecisionLossesAndGradientsAreTheCpus) {
  for (const LayerConfig& config : layers()) {
    // What jitter makes is rounded there and not here, and so chosen otherwise.
    if (config.router_jitter > 0 && dtype() == DType::kBF16) continue;
    for (const Batch& batch : {batch_of(4, 5), batch_of(0, 5), batch_of(3, 67)}) compare(config, batch);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, GateCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
