#include "runtime/cuda_chain_layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "comm/local_transport.h"
#include "comm/make_transport.h"
#include "kernels/copy.h"
#include "tests/runtime/chain_run.h"

namespace coe {
namespace {

LayerConfig small_layer() {
  return {.hidden = 20, .expert_hidden = 12, .experts = 9, .top_k = 3, .iterations = 2, .shared_experts = 1};
}

TEST(CudaChainLayer, RefusesWhatItDoesNotDoInASentence) {
  LayerConfig noisy = small_layer(), probable = small_layer(), padded = small_layer();
  noisy.router_noise = true;
  probable.drop_policy = DropPolicy::kProbability;
  padded.pad_to_capacity = true;
  for (const LayerConfig& layer : {noisy, probable, padded}) EXPECT_THROW(check_cuda_layer(layer), Error);
  EXPECT_NO_THROW(check_cuda_layer(small_layer()));
}

TEST(CudaChainLayer, RoomIsForTheWorstRouting) {
  LayerConfig layer = small_layer();
  EXPECT_EQ(room_of(layer, Placement(9, 1), 40, DType::kF32).rows, 120);
  layer.router = RouterKind::kRelu;
  EXPECT_EQ(room_of(layer, Placement(9, 4), 40, DType::kF32).rows, 120);  // 3 experts of a rank take every token
  layer.drop_policy = DropPolicy::kPosition;
  layer.capacity_factor = 1;  // ceil(40 * 3 / 9) = 14 rows each
  EXPECT_EQ(room_of(layer, Placement(9, 4), 40, DType::kF32).rows, 42);
}

/// Four or one ranks on the device, driven by this thread.
class Driven {
 public:
  Driven(const LayerConfig& layer, int ranks, std::int64_t sequences, std::int64_t length) : hub_(ranks) {
    for (int r = 0; r < ranks; ++r) ranks_.push_back(std::make_unique<Rank>(layer, hub_.connect(r), sequences, length));
  }

  void load(const std::vector<float>& x, const std::vector<float>& dy) {
    for (const auto& rank : ranks_) rank->load(x, dy);
    finish();
  }
  void step() {
    for (const auto& rank : ranks_) rank->begin();
    for (int s = 0; s < ranks_[0]->layer.forward_stages(); ++s) {
      for (const auto& rank : ranks_) rank->layer.forward_stage(s, rank->arena);
    }
    for (const auto& rank : ranks_) rank->layer.begin_backward(rank->dy, rank->dx, rank->arena);
    for (int s = 0; s < ranks_[0]->layer.backward_stages(); ++s) {
      for (const auto& rank : ranks_) rank->layer.backward_stage(s, rank->arena);
    }
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
  /// y, then dx, in global order.
  std::vector<float> results() {
    std::vector<float> all;
    for (const auto& rank : ranks_) rank->read(rank->layer.y(), all);
    for (const auto& rank : ranks_) rank->read(rank->dx, all);
    return all;
  }

 private:
  struct Rank {
    Rank(const LayerConfig& config, std::unique_ptr<Transport> connected, std::int64_t sequences, std::int64_t length)
        : transport(std::move(connected)),
          groups(*transport, 0, kDefaultDeadline),
          placement(config.experts, groups.experts().size()),
          stream(kCuda),
          batch(deal_batch(sequences, length, groups)),
          parameters(chain_specs(config, "", placement.experts_of(transport->rank())), true),
          weights(config, drawn(config), DType::kF32, groups.experts(), stream),
          exchange(groups.experts(), room_of(config, placement, batch.group_tokens(), DType::kF32), stream),
          layer(config, 0, {&groups, &placement, &exchange, &weights, &stream}),
          memory(0, kCuda),
          arena(0, kCuda) {
      const Shape shape{batch.tokens(), config.hidden};
      x = memory.make<float>(shape);
      dy = memory.make<float>(shape);
      dx = memory.make<float>(shape);
    }
    ChainWeights drawn(const LayerConfig& config) {
      std::ranges::for_each(parameters.all(), draw);
      return chain_weights(config, "", placement.experts_of(transport->rank()), parameters);
    }
    void load(const std::vector<float>& all_x, const std::vector<float>& all_dy) {
      const std::int64_t first = batch.first_sequence * batch.length * x.extent(1);
      const auto part = [&](const std::vector<float>& all) {
        return Tensor(const_cast<float*>(all.data()) + first, DType::kF32, x.shape());
      };
      copy(part(all_x), x, stream);
      copy(part(all_dy), dy, stream);
    }
    void begin() {
      arena.reset();
      weights.zero_gradients(stream);
      layer.begin_forward(x, batch, 0, arena);
    }
    void read(const Tensor& from, std::vector<float>& all) const {
      std::vector<float> mine(static_cast<std::size_t>(from.elements()));
      copy(from, Tensor(mine.data(), DType::kF32, from.shape()), stream);
      wait(groups.experts(), stream, {"test"});
      all.insert(all.end(), mine.begin(), mine.end());
    }

    std::unique_ptr<Transport> transport;
    RankGroups groups;
    Placement placement;
    Stream stream;
    Batch batch;
    Parameters parameters;
    DeviceChainWeights weights;
    DeviceExchange exchange;
    CudaChainLayer layer;
    Arena memory, arena;
    Tensor x, dy, dx;
  };

  LocalHub hub_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

class CudaChainLayerOnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_devices() == 0) GTEST_SKIP() << "no CUDA device can be used here";
  }
};

std::vector<float> wave(std::size_t n, float step) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = std::sin(step * static_cast<float>(i % 10007));
  return values;
}

TEST_F(CudaChainLayerOnDevice, SameNumbersAsOnTheCpuAndSameBitsAtAnyRanks) {
  ChainCase chain = random_chain_case(small_layer(), 7, 5);
  chain.random.reset();
  std::vector<float> expected;
  run_local_ranks(1, [&](Transport& world) {
    const ChainResult result = ChainRun(chain, world).run();
    expected = result.y;
    expected.insert(expected.end(), result.dx.begin(), result.dx.end());
  });
  std::vector<float> first;
  for (const int ranks : {1, 2, 4, 7}) {
    Driven driven(chain.layer, ranks, 7, 5);
    driven.load(chain.x, chain.dy);
    driven.step();
    driven.finish();
    const std::vector<float> got = driven.results();
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5 * (1 + std::abs(expected[i])));
    if (first.empty()) first = got;
    EXPECT_EQ(got, first) << ranks << " ranks";
  }
}

TEST_F(CudaChainLayerOnDevice, AGraphReplaysWithOtherRoutings) {
  const LayerConfig layer = small_layer();
  constexpr std::int64_t kSequences = 8, kLength = 6;
  const auto numbers = static_cast<std::size_t>(kSequences * kLength * layer.hidden);
  for (const int ranks : {1, 4}) {
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
