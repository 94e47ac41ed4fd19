#include <memory>

#include "comm/local_transport.h"
#include "comm/wait.h"
#include "runtime/exchange/make_exchange.h"
#include "runtime/exchange/reference_exchange.h"
#include "runtime/ranks/make_device_messages.h"
#include "tests/comm/nccl_ranks.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/ranks.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/ranks/splits.h"
#include "tests/runtime/routing/routings.h"

namespace coe {
namespace {

constexpr std::int64_t kExperts = 5, kHidden = 12;

/// Every token with some experts, of which expert 2 is dropped where it is a token's last.
Choices choices_of_tokens(std::int64_t tokens) {
  Choices all(static_cast<std::size_t>(tokens));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t e = t % 3; e < kExperts; e += 1 + t % 2) {
      all[static_cast<std::size_t>(t)].push_back({.expert = static_cast<std::int32_t>(e), .kept = (t + e) % 4 != 0});
    }
  }
  return all;
}

/// x [T, D] and what stands beside each choice, both told from everybody else's.
struct Input {
  Input(const Routing& routing, int rank)
      : x(normal_tensor({routing.tokens(), kHidden}, 10 + static_cast<unsigned>(rank))),
        scalar(normal_tensor({routing.choices()}, 20 + static_cast<unsigned>(rank))) {}
  Floats x, scalar;
};

/// Sums with weights, and sums with the scalars that come back; every expert gives back what it gets.
struct Sums {
  std::vector<float> weighed, plain, scalar;
};

/// The slow way: a rank's flights over messages.
Sums by_reference(const std::vector<Choices>& by_rank, std::int64_t padded, Transport& world) {
  Arena arena;
  const Placement placement(kExperts, world.size());
  const Routing routing = routing_of(kExperts, by_rank[static_cast<std::size_t>(world.rank())], arena);
  const Input input(routing, world.rank());
  const DispatchPlan plan =
      make_dispatch_plan(routing, table_of(by_rank, kExperts, true, arena), placement, world.rank(), arena, padded);
  ReferenceExchange exchange({&world}, kHidden);
  const auto echo = [](Flight& flight) {
    const ExpertRows in = flight.arrived().get(), out = flight.results();
    std::ranges::copy(in.rows.span<float>(), out.rows.data<float>());
    if (in.scalar.elements() > 0) std::ranges::copy(in.scalar.span<float>(), out.scalar.data<float>());
    flight.send_back({"combine"});
  };
  const Floats weighed(input.x.tensor().shape()), plain(input.x.tensor().shape()),
      scalar(input.scalar.tensor().shape());
  const Tensor &x = input.x, &beside = input.scalar, &back = scalar;
  Flight first = exchange.begin(plan, {.x = &x, .weights = beside}, {"dispatch"});
  echo(first);
  first.combine({.sum = weighed, .shared = x, .residual = x}, {}).get();
  Flight second = exchange.begin(plan, {.x = &x, .weights = {}, .scalar = &beside}, {"dispatch"});
  echo(second);
  second.combine({.sum = plain, .scalar = &back}, {}).get();
  return {weighed.values(), plain.values(), scalar.values()};
}

/// How rows go, and with what messages.
struct Way {
  DeviceReach reach;
  MessageSizes sizes;
};

class StreamExchangeCuda : public OnCuda, public testing::WithParamInterface<Way> {
 protected:
  /// Ranks as threads on one device.
  Sums on_device(const std::vector<Choices>& by_rank, std::int64_t padded, const Placement& placement,
                 Transport& world);
};

Sums StreamExchangeCuda::on_device(const std::vector<Choices>& by_rank, std::int64_t padded, const Placement& placement,
                                   Transport& world) {
  const Stream stream(kCuda);
  const auto messages = make_device_messages({&world}, {kCuda, GetParam().reach, GetParam().sizes});
  const Group group{&world, world.deadline(), nullptr, messages.get()};
  Arena host, arena(1 << 20, kCuda);
  const Routing routing = routing_of(kExperts, by_rank[static_cast<std::size_t>(world.rank())], host);
  const Input input(routing, world.rank());
  const auto up = [&](const Tensor& from) {
    const Tensor to = arena.make(from.dtype(), from.shape());
    copy(from, to, stream);
    return to;
  };
  Routed routed;
  routed.routing = {.experts = kExperts,
                    .offsets = up(routing.offsets),
                    .expert = up(routing.expert),
                    .weight = up(input.scalar),
                    .score = up(input.scalar),
                    .chosen = {},
                    .kept = up(routing.kept)};
  const auto [totals, earlier] =
      count_choices(routed.routing.on_device(), routed.routing.kept, kExperts, arena, stream);
  routed.counts = totals;
  routed.earlier = earlier;
  const DispatchPlanner planner(placement, world.rank(), stream, messages != nullptr);
  const std::int64_t fixed = messages != nullptr && messages->sizes_are_fixed() ? 100 : 0;
  const DispatchPlan plan = planner.plan(routed, up(table_of(by_rank, kExperts, true, host)),
                                         {.most = 200, .padded = padded, .message = fixed}, arena);
  // Without a hint it makes room when it must.
  const std::unique_ptr<Exchange> exchange = make_exchange(ExchangeOrder::kExact, group, {kHidden}, {}, stream);
  const auto echo = [&](Flight& flight) {
    const ExpertRows in = flight.arrived().get(), out = flight.results();
    copy(in.rows, out.rows, stream);
    if (in.scalar.elements() > 0) copy(in.scalar, out.scalar, stream);
    flight.send_back({"combine"});
  };
  const Tensor x = up(input.x), beside = up(input.scalar), weighed = up(input.x), plain = up(input.x),
               back = up(input.scalar);
  Flight first = exchange->begin(plan, {.x = &x, .weights = beside, .keep = true}, {"dispatch"});
  echo(first);
  first.combine({.sum = weighed, .shared = x, .residual = x}, {}).get();
  Flight second = exchange->begin(plan, {.x = &x, .weights = {}, .scalar = &beside}, {"dispatch"});
  echo(second);
  second.combine({.sum = plain, .scalar = &back}, {}).get();
  const Floats weighed_here(weighed.shape()), plain_here(plain.shape()), back_here(back.shape());
  copy(weighed, weighed_here, stream);
  copy(plain, plain_here, stream);
  copy(back, back_here, stream);
  coe::wait(group, stream, {"test"});
  EXPECT_EQ(exchange->growths(), 0);
  return {weighed_here.values(), plain_here.values(), back_here.values()};
}

TEST_P(StreamExchangeCuda, BringsWhatMessagesBring) {
  for (const auto& [padded, shuffled] : {std::pair{0, false}, {40, false}, {0, true}, {40, true}}) {
    for (const int ranks : {1, 2, 4, 7}) {
      if (GetParam().reach == DeviceReach::kNccl && !nccl_connects(ranks)) GTEST_SKIP() << kNoNccl;
      const std::vector<Choices> by_rank = deal_unevenly(choices_of_tokens(37), ranks);
      on_ranks(ranks, [&](Transport& world) {
        const Placement placement = shuffled ? shuffled_placement(kExperts, ranks, 4) : Placement(kExperts, ranks);
        const Sums wanted = by_reference(by_rank, padded, world), got = on_device(by_rank, padded, placement, world);
        EXPECT_EQ(got.plain, wanted.plain);
        EXPECT_EQ(got.scalar, wanted.scalar);
        ASSERT_EQ(got.weighed.size(), wanted.weighed.size());
        for (std::size_t i = 0; i < wanted.weighed.size(); ++i) {
          EXPECT_NEAR(got.weighed[i], wanted.weighed[i], 1e-5 * (1 + std::abs(wanted.weighed[i])));
        }
      });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, StreamExchangeCuda,
                         testing::Values(Way{DeviceReach::kMapped, MessageSizes::kHost},
                                         Way{DeviceReach::kHost, MessageSizes::kHost},
                                         Way{DeviceReach::kHost, MessageSizes::kPadded},
                                         Way{DeviceReach::kNccl, MessageSizes::kHost},
                                         Way{DeviceReach::kNccl, MessageSizes::kPadded}));

}  // namespace
}  // namespace coe
