#pragma once

#include <memory>
#include <vector>

#include "kernels/memory/copy.h"
#include "runtime/layer/layer_size.h"
#include "runtime/ranks/read_back.h"
#include "tests/runtime/layer/chain_run.h"

namespace coe {

/// How a layer's rows travel between ranks that are threads and share a device.
struct DeviceChain {
  DeviceReach reach = DeviceReach::kMapped;
  MessageSizes sizes = MessageSizes::kHost;
  int chunks = 1;
  bool shuffled = false;
  std::int64_t expert_parallel = 0;
};

/// A case on this rank's part of a device: sequences are dealt out evenly.
class ChainOnDevice {
 public:
  ChainOnDevice(const ChainCase& chain, Transport& world, const DeviceChain& way)
      : case_(chain),
        stream_(kCuda),
        groups_(world, way.expert_parallel, kDefaultDeadline, nullptr, {stream_.device(), way.reach, way.sizes}),
        placement_(placement_of(chain.layer.experts, groups_.experts().size(), way.shuffled)),
        batch_(deal_batch(chain.sequences, chain.length, groups_)),
        parameters_(chain_specs(chain.layer, "", held()), true),
        weights_(chain_specs(chain.layer, "", held(), ExpertOrder::kByMatrix), true, stream_),
        exchange_(make_exchange(ExchangeOrder::kExact, groups_.experts(), {chain.layer.hidden}, hint(way), stream_)),
        workspace_(make_layer_workspace(chain.layer, groups_, batch_.most_tokens(groups_.experts().size()), stream_,
                                        way.chunks)),
        layer_(chain.layer, 0,
               {.groups = &groups_,
                .placement = &placement_,
                .exchange = exchange_.get(),
                .workspace = &workspace_,
                .times = &times_,
                .stream = &stream_},
               drawn()),
        arena_(0, stream_.device()) {}

  /// Forward and backward, gathered from all ranks.
  ChainResult run() {
    const Tensor x = uploaded(case_.x), dy = uploaded(case_.dy), dx = arena_.make<float>(x.shape());
    ChainSaved saved;
    const ChainOutput output =
        layer_.forward(x, batch_, {.l1_coeff = case_.l1_coeff, .random = case_.random}, &saved, arena_);
    layer_.backward(dy, saved, dx, arena_);
    return gather(output, dx);
  }
  /// y of a forward that no backward follows, and of another.
  std::vector<std::vector<float>> run_forward_twice() {
    std::vector<std::vector<float>> all;
    const Tensor x = uploaded(case_.x);
    for (int i = 0; i < 2; ++i) {
      const ChainOutput output =
          layer_.forward(x, batch_, {.l1_coeff = case_.l1_coeff, .random = case_.random}, nullptr, arena_);
      all.push_back(gather_floats(groups_.world(), read<float>(output.y)));
    }
    return all;
  }
  int growths() const { return exchange_->growths(); }

 private:
  const ExpertIds& held() const { return placement_.experts_of(groups_.experts().rank()); }
  FlightHint hint(const DeviceChain& way) const {
    const int chunks = case_.layer.drop_policy == DropPolicy::kNone ? way.chunks : 1;
    const Batch one = chunk_of(batch_, 0, chunks, groups_.experts().size());
    return ChainLayer::flight_hint(1, case_.layer.iterations, most_rows(case_.layer, placement_, one.group_tokens()),
                                   chunks);
  }
  ChainWeights drawn() {
    std::ranges::for_each(parameters_.all(), draw);
    weights_.copy_from(parameters_);
    return chain_weights(case_.layer, "", held(), weights_);
  }
  Tensor uploaded(const std::vector<float>& all) {
    const std::int64_t width = case_.layer.hidden;
    const Tensor there = arena_.make<float>({batch_.tokens(), width});
    auto* mine = const_cast<float*>(all.data()) + batch_.first_sequence * batch_.length * width;
    copy(Tensor(mine, DType::kF32, there.shape()), there, stream_);
    return there;
  }
  template <class T>
  std::vector<T> read(const Tensor& there) const {
    return read_back<T>(there, groups_.world(), stream_, {"test"});
  }
  ChainResult gather(const ChainOutput& output, const Tensor& dx) {
    const Group world = groups_.world();
    ChainResult result{.y = gather_floats(world, read<float>(output.y)),
                       .dx = gather_floats(world, read<float>(dx)),
                       .balance = read<double>(output.balance_loss).front()};
    parameters_.copy_gradients_from(weights_);
    wait(world, stream_, {"test"});
    const Tensor gradients = parameters_.experts().gradient;
    all_reduce_sum<float>(groups_.replicas(), gradients.span<float>(), {"replicas"});
    result.expert_gradients = by_expert(gather_floats(groups_.experts(), gradients.span<float>()), placement_);
    result.replicated_gradients = values_of<float>(parameters_.replicated().gradient);
    all_reduce_sum<float>(world, result.replicated_gradients, {"gradients"});
    all_reduce_sum<double>(world, {&result.balance, 1}, {"balance"});
    result.counters = added_up(world, layer_.counters());
    return result;
  }

  ChainCase case_;
  Stream stream_;
  RankGroups groups_;
  Placement placement_;
  Batch batch_;
  Parameters parameters_, weights_;  ///< on the host, on the device
  std::unique_ptr<Exchange> exchange_;
  LayerWorkspace workspace_;
  PartTimes times_;
  ChainLayer layer_;
  Arena arena_;
};

}  // namespace coe
