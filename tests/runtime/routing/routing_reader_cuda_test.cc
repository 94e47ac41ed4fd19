#include "comm/local_transport.h"
#include "runtime/routing/routing_reader.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/runtime/routing/recorded_model.h"

namespace coe {
namespace {

class RoutingReaderCuda : public OnCuda {
 protected:
  /// As routers leave them: memory for three choices more than there are, which say nothing.
  Routing there(const Routing& here, bool flags) {
    const std::int64_t choices = here.choices(), room = choices + 3;
    Ints expert({room}, std::vector<std::int32_t>(static_cast<std::size_t>(room), 1 << 20));
    Owned<std::uint8_t> chosen({room}, std::vector<std::uint8_t>(static_cast<std::size_t>(room), 1)), kept({room});
    std::ranges::copy(here.expert.span<std::int32_t>(), expert.begin());
    std::ranges::copy(here.chosen.span<std::uint8_t>(), chosen.begin());
    std::ranges::copy(here.kept.span<std::uint8_t>(), kept.begin());
    Routing routing;
    routing.experts = here.experts;
    routing.offsets = put(here.offsets);
    routing.expert = put(expert);
    if (flags) routing.chosen = put(chosen), routing.kept = put(kept);
    return routing;
  }
};

// More iterations than may be under way.
TEST_F(RoutingReaderCuda, TheRecordIsTheHosts) {
  constexpr std::int64_t kLayers = 3, kIterations = 4;
  const std::unique_ptr<Transport> alone = make_lone_transport();
  for (const bool flags : {false, true}) {
    Arena arena;
    RoutingCounter wanted(empty_routing_record(model_of(kLayers, 5, kIterations))), got(wanted);
    RoutingReader reader({alone.get()}, stream_);
    reader.count_in(&got);
    for (std::int64_t i = 0; i < kLayers * kIterations; ++i) {
      Choices tokens(7);
      for (std::int64_t t = 0; t < 7; ++t) {
        for (std::int32_t e = static_cast<std::int32_t>((t + i) % 3); e < 5;
             e += 1 + static_cast<std::int32_t>(t % 2)) {
          const bool asked = !flags || (e + i) % 3 != 0;
          tokens[static_cast<std::size_t>(t)].push_back(
              {.expert = e, .kept = !asked || !flags || (e + t) % 4 != 0, .chosen = asked});
        }
      }
      const Routing routing = routing_of(5, tokens, arena);
      wanted.count(i / kIterations, i % kIterations, routing);
      reader.add(i / kIterations, i % kIterations, there(routing, flags));
    }
    reader.count_in(nullptr);
    EXPECT_EQ(got.sum({alone.get()}), wanted.sum({alone.get()}));
  }
}

}  // namespace
}  // namespace coe
