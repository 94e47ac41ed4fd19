#include "tests/runtime/exchange/exchange_properties.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "runtime/exchange/make_exchange.h"
#include "runtime/exchange/reference_exchange.h"
#include "tests/ranks.h"
#include "tests/runtime/exchange/shrunk_case.h"

namespace coe {
namespace {

constexpr int kMostRanks = 7;
constexpr std::uint64_t kSeedsPerTest = 100, kTests = 10;

/// An Exchange that is held to the properties.
struct Implementation {
  std::string name;
  ExchangeFactory make;
};

void PrintTo(const Implementation& implementation, std::ostream* stream) { *stream << implementation.name; }

ExchangeFactory fastest(ExchangeOrder order) {
  return {[order](Group group, std::int64_t hidden) { return make_exchange(order, group, {hidden}); }, order};
}

std::vector<Implementation> implementations() {
  const auto reference = [](Group group, std::int64_t hidden) {
    return std::make_unique<ReferenceExchange>(group, hidden);
  };
  return {{"Reference", {reference}},
          {"OneCopy", fastest(ExchangeOrder::kExact)},
          {"PartialSums", fastest(ExchangeOrder::kPartialSums)}};
}

int ranks_of(std::uint64_t seed) { return static_cast<int>(seed % kMostRanks) + 1; }

/// Runs cases of one number of ranks; where one fails over threads, says the smallest that does.
void expect_cases_hold(const std::vector<std::uint64_t>& seeds, int ranks, const ExchangeFactory& make) {
  std::vector<std::uint64_t> reached(static_cast<std::size_t>(ranks));
  try {
    on_ranks(ranks, [&](Transport& world) {
      for (const std::uint64_t seed : seeds) {
        reached[static_cast<std::size_t>(world.rank())] = seed;
        CaseOnRank(exchange_case(seed, ranks), world).run(make);
      }
    });
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
    // Ranks that wait for the one that failed may be a case behind it.
    for (const std::uint64_t seed : std::set(reached.begin(), reached.end())) {
      if (broken(exchange_case(seed, ranks), make)) {
        ADD_FAILURE() << "smallest: " << shrunk(exchange_case(seed, ranks), make);
      }
    }
  }
}

/// What the seeds of all tests make happen, and how often.
std::map<std::string, int> happenings() {
  std::map<std::string, int> count;
  for (std::uint64_t seed = 0; seed < kTests * kSeedsPerTest; ++seed) {
    const ExchangeCase one = exchange_case(seed, ranks_of(seed));
    const LayerConfig& layer = one.layer;
    ++count["C = " + std::to_string(layer.iterations)];
    ++count["skew " + std::to_string(static_cast<int>(one.skew))];
    ++count["policy " + std::to_string(static_cast<int>(layer.drop_policy))];
    count["rank scope"] += one.capacity_of_ranks() ? 1 : 0;
    count["padded"] += layer.pad_to_capacity ? 1 : 0;
    count["more ranks than experts"] += one.ranks > layer.experts ? 1 : 0;
    count["nobody has tokens"] += one.all_tokens() == 0 ? 1 : 0;
    count["a rank has no tokens"] += std::ranges::count(one.tokens, 0) > 0 ? 1 : 0;
    count["any number of choices"] += one.fixed_choices ? 0 : 1;
    bool dropped = false, rerouted = false;
    const CaseTraffic traffic = traffic_of(one, 0);
    for (const Choice& choice : traffic.admitted | std::views::join) {
      dropped |= !choice.kept;
      rerouted |= !choice.chosen;
    }
    count["dropped"] += dropped ? 1 : 0;
    count["rerouted"] += rerouted ? 1 : 0;
  }
  return count;
}

TEST(ExchangeCases, EverythingHappensInAtLeastFiftyOfAThousand) {
  const std::map<std::string, int> count = happenings();
  EXPECT_EQ(count.size(), 4U + 4U + 3U + 8U);
  for (const auto& [what, times] : count) EXPECT_GE(times, 50) << what;
}

class ExchangePropertiesOnRanks : public testing::TestWithParam<std::tuple<Implementation, std::uint64_t>> {};

TEST_P(ExchangePropertiesOnRanks, EveryKeptChoiceArrivesOnceAtItsPlaceAndComesBack) {
  const auto& [implementation, number] = GetParam();
  for (int ranks = 1; ranks <= kMostRanks; ++ranks) {
    std::vector<std::uint64_t> seeds;
    for (std::uint64_t seed = number * kSeedsPerTest; seed < (number + 1) * kSeedsPerTest; ++seed) {
      if (ranks_of(seed) == ranks) seeds.push_back(seed);
    }
    expect_cases_hold(seeds, ranks, implementation.make);
  }
}

INSTANTIATE_TEST_SUITE_P(Hundreds, ExchangePropertiesOnRanks,
                         testing::Combine(testing::ValuesIn(implementations()),
                                          testing::Range<std::uint64_t>(0, kTests)),
                         [](const auto& test) {
                           return std::get<0>(test.param).name + std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace coe
