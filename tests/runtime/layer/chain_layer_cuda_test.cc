#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>

#include "comm/local_transport.h"
#include "comm/make_transport.h"
#include "kernels/memory/copy.h"
#include "runtime/exchange/stream_exchange.h"
#include "runtime/layer/layer_size.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/layer/chain_run.h"

namespace coe {
namespace {

LayerConfig small_layer() {
  return {.hidden = 20, .expert_hidden = 12, .experts = 9, .top_k = 3, .iterations = 2, .shared_experts = 1};
}

LayerConfig rerouted_layer() {
  LayerConfig layer = small_layer();
  layer.drop_policy = DropPolicy::kPosition;
  layer.capacity_factor = 0.75;
  layer.reroute_rounds = 2;
  layer.routed_scaling_factor = 2.5F;
  layer.balance_loss = BalanceLoss::kBatch;
  layer.balance_loss_coeff = 0.5F;
  return layer;
}

/// Four or one ranks on the device, driven by this thread.
class Driven {
 public:
  Driven(const LayerConfig& layer, int ranks, std::int64_t sequences, std::int64_t length,
         const RoutingContext& context = {})
      : hub_(ranks), context_(context) {
    for (int r = 0; r < ranks; ++r) ranks_.push_back(std::make_unique<Rank>(layer, hub_.connect(r), sequences, length));
  }

  void load(const std::vector<float>& x, const std::vector<float>& dy) {
    for (const auto& rank : ranks_) rank->load(x, dy);
    finish();
  }
  void step() {
    run_all([&](Rank& rank) { return rank.begin_forward(context_); });
    run_all([&](Rank& rank) { return rank.layer.begin_backward(rank.dy, rank.saved, rank.dx, rank.arena); });
  }
  /// All ranks' work, forked from and joined by the first one's stream.
  Graph capture() {
    const Stream& first = ranks_[0]->stream;
    std::vector<Event> joins;
    const Event fork(kCuda);
    Graph::begin_capture(first);
    fork.record(first);
    for (std::size_t r = 1; r < ranks_.size(); ++r) fork.hold(ranks_[r]->stream);
    step();
    for (std::size_t r = 1; r < ranks_.size(); ++r) {
      joins.emplace_back(kCuda).record(ranks_[r]->stream);
      joins.back().hold(first);
    }
    return Graph::end_capture(first);
  }
  const Stream& first_stream() const { return ranks_[0]->stream; }
  void finish() {
    for (const auto& rank : ranks_) wait(rank->groups.experts(), rank->stream, {"test"});
  }
  /// The experts' in ascending id; the others' added up over ranks.
  std::vector<float> expert_gradients() {
    std::vector<float> all;
    for (const auto& rank : ranks_) {
      rank->read_gradients();
      const auto mine = rank->parameters.experts().gradient.span<float>();
      all.insert(all.end(), mine.begin(), mine.end());
    }
    return all;
  }
  std::vector<float> replicated_gradients() {
    std::vector<float> sum(static_cast<std::size_t>(ranks_[0]->parameters.replicated().gradient.elements()));
    for (const auto& rank : ranks_) {
      rank->read_gradients();
      std::ranges::transform(sum, rank->parameters.replicated().gradient.span<float>(), sum.begin(), std::plus<>());
    }
    return sum;
  }
  const Parameters& first_parameters() const { return ranks_[0]->parameters; }
  /// y, then dx, in global order.
  std::vector<float> results() {
    std::vector<float> all;
    for (const auto& rank : ranks_) rank->read(rank->out.y, all);
    for (const auto& rank : ranks_) rank->read(rank->dx, all);
    return all;
  }

 private:
  struct Rank;
  /// Each rank's pass as far as its next need, in turn.
  template <class Begin>
  void run_all(const Begin& begin) {
    std::vector<Task> passes;
    for (const auto& rank : ranks_) passes.push_back(begin(*rank));
    run(passes);
  }

  struct Rank {
    Rank(const LayerConfig& layer_config, std::unique_ptr<Transport> connected, std::int64_t sequences,
         std::int64_t length)
        : config(layer_config),
          transport(std::move(connected)),
          groups(*transport, 0, kDefaultDeadline),
          placement(config.experts, groups.experts().size()),
          stream(kCuda),
          batch(deal_batch(sequences, length, groups)),
          parameters(chain_specs(config, "", placement.experts_of(transport->rank())), true),
          weights(chain_specs(config, "", placement.experts_of(transport->rank()), ExpertOrder::kByMatrix), true,
                  stream),
          exchange(groups.experts(), config.hidden, DType::kF32, stream,
                   {.rows = most_rows(config, placement, batch.group_tokens()),
                    .arrivals = static_cast<int>(config.iterations) + 1,
                    .results = 1}),
          workspace(make_layer_workspace(config, groups, batch.most_tokens(groups.experts().size()), stream)),
          layer(config, 0,
                {.groups = &groups,
                 .placement = &placement,
                 .exchange = &exchange,
                 .workspace = &workspace,
                 .times = &times,
                 .stream = &stream},
                drawn()),
          memory(0, kCuda),
          arena(0, kCuda) {
      const Shape shape{batch.tokens(), config.hidden};
      x = memory.make<float>(shape);
      dy = memory.make<float>(shape);
      dx = memory.make<float>(shape);
    }
    ChainWeights drawn() {
      std::ranges::for_each(parameters.all(), draw);
      weights.copy_from(parameters);
      return chain_weights(config, "", placement.experts_of(transport->rank()), weights);
    }
    void load(const std::vector<float>& all_x, const std::vector<float>& all_dy) {
      const std::int64_t first = batch.first_sequence * batch.length * x.extent(1);
      const auto part = [&](const std::vector<float>& all) {
        return Tensor(const_cast<float*>(all.data()) + first, DType::kF32, x.shape());
      };
      copy(part(all_x), x, stream);
      copy(part(all_dy), dy, stream);
    }
    Task begin_forward(const RoutingContext& context) {
      arena.reset();
      weights.zero_gradients();
      return layer.begin_forward(x, batch, context, &saved, arena, out);
    }
    void read_gradients() {
      parameters.copy_gradients_from(weights);
      wait(groups.experts(), stream, {"test"});
    }
    void read(const Tensor& from, std::vector<float>& all) const {
      std::vector<float> mine(static_cast<std::size_t>(from.elements()));
      copy(from, Tensor(mine.data(), DType::kF32, from.shape()), stream);
      wait(groups.experts(), stream, {"test"});
      all.insert(all.end(), mine.begin(), mine.end());
    }

    LayerConfig config;
    std::unique_ptr<Transport> transport;
    RankGroups groups;
    Placement placement;
    Stream stream;
    Batch batch;
    Parameters parameters, weights;  ///< on the host, on the device
    StreamExchange exchange;
    LayerWorkspace workspace;
    PartTimes times;
    ChainLayer layer;
    ChainSaved saved;
    ChainOutput out;
    Arena memory, arena;
    Tensor x, dy, dx;
  };

  LocalHub hub_;
  RoutingContext context_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

using ChainLayerCuda = OnCuda;

std::vector<float> wave(std::size_t n, float step) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = std::sin(step * static_cast<float>(i % 10007));
  return values;
}

/// Between them all that the layer does on a device.
std::vector<LayerConfig> layers() {
  std::vector<LayerConfig> all(14, small_layer());
  all[1].iteration_norm = all[1].norm_topk_prob = all[1].router_bias = true;
  all[1].residual = Residual::kOuter;
  all[1].shared_experts = 0;
  all[1].groups = 3;
  all[1].groups_kept = 2;
  all[1].balance_loss = BalanceLoss::kSequence;
  all[1].balance_loss_coeff = 0.5F;
  all[1].z_loss_coeff = 0.1F;
  all[2].router = RouterKind::kRelu;
  all[2].gate = GateSharing::kShared;
  all[3].drop_policy = DropPolicy::kPosition;
  all[3].capacity_factor = 0.8;
  all[3].balance_loss = BalanceLoss::kBatch;
  all[3].balance_loss_coeff = 0.5F;
  all[4].experts = all[4].top_k = all[4].iterations = 1;
  all[4].residual = Residual::kNone;
  all[6] = all[3];
  all[6].pad_to_capacity = true;
  all[6].capacity_factor = 1.5;
  all[7] = all[3];
  all[7].drop_policy = DropPolicy::kProbability;
  all[8] = all[2];
  all[8].drop_policy = DropPolicy::kProbability;
  all[8].capacity_factor = 0.8;
  all[8].pad_to_capacity = true;
  all[5].router_noise = true;
  all[5].router_jitter = 0.1F;
  all[9] = rerouted_layer();
  all[10] = all[1];
  all[10].drop_policy = DropPolicy::kProbability;
  all[10].capacity_factor = 0.6;
  all[10].reroute_rounds = 9;  // more than there are experts left in a token's groups
  all[11] = all[7];
  all[11].reroute_rounds = 1;
  all[11].pad_to_capacity = all[11].norm_topk_prob = true;
  all[11].routed_scaling_factor = 2.5F;
  all[12] = all[10];
  all[12].router = RouterKind::kSigmoidTopk;
  all[12].routed_scaling_factor = 2.5F;
  all[12].reroute_rounds = 2;
  all[13] = all[7];
  all[13].router = RouterKind::kSigmoidTopk;
  all[13].norm_topk_prob = true;
  all[13].top_k = 1;
  return all;
}

ChainResult on_the_cpu(const ChainCase& chain) {
  ChainResult result;
  run_local_ranks(1, [&](Transport& world) { result = ChainRun(chain, world).run(); });
  return result;
}

/// max |got - wanted| / max |wanted|
double error_of(const std::vector<float>& got, const std::vector<float>& wanted) {
  return coe::error_of(Floats({std::ssize(got)}, got), Floats({std::ssize(wanted)}, wanted));
}

/// The worst of all replicated gradients, each by its own size.
double error_of_each(const std::vector<float>& got, const std::vector<float>& wanted, const Parameters& parameters) {
  double worst = 0;
  auto begin = got.begin(), wanted_begin = wanted.begin();
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.expert) continue;
    const auto end = begin + parameter.gradient.elements(), wanted_end = wanted_begin + parameter.gradient.elements();
    worst = std::max(worst, error_of(std::vector(begin, end), std::vector(wanted_begin, wanted_end)));
    begin = end;
    wanted_begin = wanted_end;
  }
  return worst;
}

TEST_F(ChainLayerCuda, SameNumbersAsOnTheCpuAndSameBitsAtAnyRanks) {
  for (const LayerConfig& layer : layers()) {
    const ChainCase chain = random_chain_case(layer, 7, 5);
    const ChainResult wanted = on_the_cpu(chain);
    std::vector<float> first, first_expert_gradients;
    for (const int ranks : {1, 2, 4, 7}) {
      Driven driven(layer, ranks, 7, 5, {.l1_coeff = chain.l1_coeff, .random = chain.random});
      driven.load(chain.x, chain.dy);
      driven.step();
      driven.finish();
      const std::vector<float> got = driven.results(), expert_gradients = driven.expert_gradients();
      const std::size_t half = got.size() / 2;
      ASSERT_EQ(half, wanted.y.size());
      ASSERT_EQ(expert_gradients.size(), wanted.expert_gradients.size());
      EXPECT_LE(error_of({got.begin(), got.begin() + static_cast<std::ptrdiff_t>(half)}, wanted.y), 1e-5);
      EXPECT_LE(error_of({got.begin() + static_cast<std::ptrdiff_t>(half), got.end()}, wanted.dx), 1e-5);
      EXPECT_LE(error_of(expert_gradients, wanted.expert_gradients), 1e-5);
      const std::vector<float> replicated = driven.replicated_gradients();
      ASSERT_EQ(replicated.size(), wanted.replicated_gradients.size());
      EXPECT_LE(error_of_each(replicated, wanted.replicated_gradients, driven.first_parameters()), 1e-5);
      if (first.empty()) first = got, first_expert_gradients = expert_gradients;
      EXPECT_EQ(got, first) << ranks << " ranks";
      EXPECT_EQ(expert_gradients, first_expert_gradients) << ranks << " ranks";
    }
  }
}

TEST_F(ChainLayerCuda, AGraphReplaysWithOtherRoutings) {
  constexpr std::int64_t kSequences = 8, kLength = 6;
  const auto numbers = static_cast<std::size_t>(kSequences * kLength * small_layer().hidden);
  for (const auto& [layer, ranks] : {std::pair{small_layer(), 1}, {small_layer(), 4}, {rerouted_layer(), 4}}) {
    Driven driven(layer, ranks, kSequences, kLength);
    driven.load(wave(numbers, 0.7F), wave(numbers, 0.3F));
    for (int i = 0; i < 3; ++i) {  // until the arena holds a step and allocates nothing
      driven.step();
      driven.finish();
    }
    const Graph graph = driven.capture();
    for (const float step : {0.7F, 1.9F, 2.6F}) {
      const std::vector<float> x = wave(numbers, step), dy = wave(numbers, step / 3);
      driven.load(x, dy);
      graph.launch(driven.first_stream());
      driven.finish();
      const std::vector<float> replayed = driven.results();
      driven.load(x, dy);
      driven.step();
      driven.finish();
      EXPECT_EQ(replayed, driven.results()) << ranks << " ranks, inputs " << step;
    }
  }
}

}  // namespace
}  // namespace coe
