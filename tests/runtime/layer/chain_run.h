#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "runtime/exchange/make_exchange.h"
#include "runtime/exchange/reference_exchange.h"
#include "runtime/layer/chain_layer.h"
#include "runtime/model/model_parameters.h"
#include "tests/runtime/layer/logged_exchange.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/tensors.h"

namespace coe {

/// One layer and the tokens of all ranks.
struct ChainCase {
  LayerConfig layer;
  std::int64_t sequences = 0, length = 0;
  double l1_coeff = 0;
  std::optional<StepRandom> random;
  std::vector<float> x, dy;  ///< [sequences * length * hidden]
};

inline ChainCase random_chain_case(const LayerConfig& layer, std::int64_t sequences, std::int64_t length) {
  Arena arena;
  std::mt19937 random(17);
  const Shape shape{sequences * length, layer.hidden};
  return {.layer = layer,
          .sequences = sequences,
          .length = length,
          .l1_coeff = 0.05,
          .random = StepRandom{.seed = 5, .step = 3, .first_sequence = 0},
          .x = values_of<float>(random_tensor(shape, 1, random, arena)),
          .dy = values_of<float>(random_tensor(shape, 1, random, arena))};
}

/// Draws a weight by its name, so that it does not depend on who holds it: norms about 1; router biases about 0 and no
/// larger than scores; matrices about 0, so that they keep the size of what they multiply.
inline void draw(const Parameter& parameter) {
  std::seed_seq seed(parameter.name.begin(), parameter.name.end());
  std::mt19937 random(seed);
  const Shape& shape = parameter.value.shape();
  const bool bias = parameter.name.starts_with("router_bias"), norm = shape.rank() == 1 && !bias;
  const float vector_bound = bias ? 0.1F : 0.5F;
  const float bound = shape.rank() == 1 ? vector_bound : 1.5F / std::sqrt(static_cast<float>(shape[1]));
  std::uniform_real_distribution<float> uniform(-bound, bound);
  std::ranges::generate(parameter.value.span<float>(), [&] { return (norm ? 1.0F : 0.0F) + uniform(random); });
}

/// What all ranks made, put together: the same on every rank.
struct ChainResult {
  std::vector<float> y = {}, dx = {};            ///< in global token order
  std::vector<float> expert_gradients = {};      ///< flat, in ascending expert id
  std::vector<float> replicated_gradients = {};  ///< flat, added up over ranks
  double balance = 0;
  std::vector<IterationCounters> counters = {};  ///< added up over ranks
};

inline std::vector<float> gather_floats(Group group, std::span<const float> mine) {
  std::vector<float> all;
  for (const std::vector<std::byte>& bytes : all_gather_bytes(group, std::as_bytes(mine), {"gather"})) {
    const std::size_t begin = all.size();
    all.resize(begin + bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(all.data() + begin, bytes.data(), bytes.size());
  }
  return all;
}

/// What ranks hold one after another, in ascending expert id.
inline std::vector<float> by_expert(const std::vector<float>& by_rank, const Placement& placement) {
  std::vector<float> all(by_rank.size());
  const std::int64_t width = std::ssize(all) / placement.experts();
  auto next = by_rank.begin();
  for (int rank = 0; rank < placement.ranks(); ++rank) {
    for (const std::int64_t expert : placement.experts_of(rank)) {
      std::copy_n(next, width, all.begin() + expert * width);
      next += width;
    }
  }
  return all;
}

inline std::vector<IterationCounters> added_up(Group world, std::span<const IterationCounters> mine) {
  std::vector<IterationCounters> all;
  for (IterationCounters sum : mine) {
    all_reduce_sum<std::int64_t>(world, sum.load, {"load"});
    all_reduce_sum<std::int64_t>(world, {&sum.dropped, 1}, {"dropped"});
    all_reduce_sum<std::int64_t>(world, {&sum.rerouted, 1}, {"rerouted"});
    all_reduce_sum<std::int64_t>(world, {&sum.bytes_sent, 1}, {"bytes"});
    all.push_back(sum);
  }
  return all;
}

inline Placement placement_of(std::int64_t experts, int ranks, bool shuffled) {
  return shuffled ? shuffled_placement(experts, ranks, 3) : Placement(experts, ranks);
}

/// How a layer's rows travel.
struct ChainExchange {
  bool by_reference = false;  ///< else the fastest way that adds up in this order
  ExchangeOrder order = ExchangeOrder::kExact;
  int chunks = 1;
  bool logged = false;    ///< over a LoggedExchange
  bool shuffled = false;  ///< experts lie with ranks in no order, else in contiguous runs
};

/// A case on this rank: sequences are dealt out unevenly, the last of several ranks has none.
class ChainRun {
 public:
  ChainRun(const ChainCase& chain, Transport& world, std::int64_t expert_parallel = 0, ChainExchange way = {})
      : case_(chain),
        groups_(world, expert_parallel, kDefaultDeadline),
        placement_(placement_of(chain.layer.experts, groups_.experts().size(), way.shuffled)),
        experts_(placement_.experts_of(groups_.experts().rank())),
        parameters_(chain_specs(chain.layer, "", experts_), true),
        exchange_(exchange_of(groups_.experts(), chain.layer, way)),
        workspace_(make_layer_workspace(chain.layer, groups_, 0, host_stream(), way.chunks)),
        layer_(chain.layer, 0,
               {.groups = &groups_,
                .placement = &placement_,
                .exchange = exchange_.get(),
                .workspace = &workspace_,
                .times = &times_},
               chain_weights(chain.layer, "", experts_, parameters_)) {
    std::ranges::for_each(parameters_.all(), draw);
    const std::vector<Share> shares = uneven_shares(chain.sequences, world.size());
    const Share mine = shares[static_cast<std::size_t>(world.rank())];
    batch_ = {.first_sequence = mine.first,
              .sequences = mine.count,
              .length = chain.length,
              .world_sequences = chain.sequences};
    const int first_of_group = world.rank() - groups_.experts().rank();
    for (int r = first_of_group; r < first_of_group + groups_.experts().size(); ++r) {
      batch_.group_sequences += shares[static_cast<std::size_t>(r)].count;
    }
    x_ = mine_of(chain.x);
    dy_ = mine_of(chain.dy);
  }

  ChainOutput forward(ChainSaved* saved) {
    return layer_.forward(x_, batch_, {.l1_coeff = case_.l1_coeff, .random = case_.random}, saved, arena_);
  }
  /// Forward and backward, gathered from all ranks.
  ChainResult run() {
    ChainSaved saved;
    const ChainOutput output = forward(&saved);
    const Tensor dx = arena_.make<float>(x_.shape());
    layer_.backward(dy_, saved, dx, arena_);
    return gather(output, dx);
  }

  ChainLayer& layer() { return layer_; }
  const Exchange& exchange() const { return *exchange_; }
  Parameters& parameters() { return parameters_; }
  const Batch& batch() const { return batch_; }
  const Tensor& dy() const { return dy_; }
  Arena& arena() { return arena_; }

 private:
  static std::unique_ptr<Exchange> exchange_of(Group group, const LayerConfig& layer, ChainExchange way) {
    if (way.by_reference) return std::make_unique<ReferenceExchange>(group, layer.hidden);
    if (way.logged) {
      return std::make_unique<LoggedExchange>(make_exchange(way.order, group, {layer.hidden}));
    }
    return make_exchange(way.order, group, {layer.hidden}, ChainLayer::flight_hint(1, layer.iterations));
  }

  Tensor mine_of(const std::vector<float>& all) {
    const std::int64_t width = case_.length * case_.layer.hidden;
    const Share floats{batch_.first_sequence * width, batch_.sequences * width};
    return tensor_of<float>({batch_.tokens(), case_.layer.hidden}, part_of(all, floats), arena_);
  }

  ChainResult gather(const ChainOutput& output, const Tensor& dx) {
    const Group world = groups_.world();
    ChainResult result{.y = gather_floats(world, output.y.span<float>()),
                       .dx = gather_floats(world, dx.span<float>()),
                       .replicated_gradients = values_of<float>(parameters_.replicated().gradient),
                       .balance = *output.balance_loss.data<double>()};
    const Tensor gradients = parameters_.experts().gradient;
    all_reduce_sum<float>(groups_.replicas(), gradients.span<float>(), {"replicas"});
    result.expert_gradients = by_expert(gather_floats(groups_.experts(), gradients.span<float>()), placement_);
    all_reduce_sum<float>(world, result.replicated_gradients, {"gradients"});
    all_reduce_sum<double>(world, {&result.balance, 1}, {"balance"});
    result.counters = added_up(world, layer_.counters());
    return result;
  }

  ChainCase case_;
  RankGroups groups_;
  Placement placement_;
  ExpertIds experts_;
  Parameters parameters_;
  std::unique_ptr<Exchange> exchange_;
  LayerWorkspace workspace_;
  PartTimes times_;
  ChainLayer layer_;
  Batch batch_;
  Arena arena_;
  Tensor x_, dy_;
};

}  // namespace coe
