#include "runtime/training/checkpoint_tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "comm/collectives.h"
#include "tests/ranks.h"

namespace coe {
namespace {

/// Three stretches and a half on two ranks.
std::vector<ParameterSpec> specs() {
  return {{"a", {100, 300}}, {"norm", {17}},          {"bias", {3}, false, false},
          {"b", {301, 200}}, {"c", {100, 150}, true}, {"d", {2}}};
}

float number_of(const std::string& name, std::int64_t part, std::size_t i) {
  return static_cast<float>(1000 * part + name.front()) + 1e-2F * static_cast<float>(i % 999);
}

void fill(const Tensor& tensor, const std::string& name, std::int64_t part) {
  const auto numbers = tensor.span<float>();
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = number_of(name, part, i);
}

Parameters filled_whole(const WeightSharing& sharing) {
  WeightSharing whole = sharing;
  whole.shards_state = false;
  Parameters parameters(specs(), true, host_stream(), DType::kF32, whole);
  for (const Parameter& parameter : parameters.all()) {
    fill(parameter.value, parameter.name, 0);
    fill(parameter.first_moment, parameter.name, 1);
    fill(parameter.second_moment, parameter.name, 2);
  }
  return parameters;
}

/// What a rank has of them; values besides its pieces are not numbers.
Parameters filled_pieces(const WeightSharing& sharing) {
  const Parameters whole = filled_whole(sharing);
  Parameters pieces(specs(), true, host_stream(), DType::kF32, sharing);
  const FlatParameters &from = whole.replicated(), &to = pieces.replicated();
  std::ranges::fill(to.value.span<float>(), std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t i = 0; i < to.deal.stretches(); ++i) {
    for (Tensor FlatParameters::*all :
         {&FlatParameters::value, &FlatParameters::first_moment, &FlatParameters::second_moment}) {
      std::ranges::copy(from.piece(from.*all, i).span<float>(), to.piece(to.*all, i).data<float>());
    }
  }
  fill(pieces.at("bias").value, "bias", 0);
  return pieces;
}

void expect_numbers(const NamedTensor& named) {
  const std::string name = named.name.substr(0, named.name.find('.'));
  const std::int64_t part = named.name.ends_with(".first_moment") ? 1 : named.name.ends_with(".second_moment") ? 2 : 0;
  const auto numbers = named.tensor.span<float>();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i) wrong += numbers[i] != number_of(name, part, i);
  EXPECT_EQ(wrong, 0U) << named.name;
}

TEST(CheckpointTensors, WholeOnesAreWrittenAsTheyLie) {
  const Parameters parameters = filled_whole({});
  const WrittenTensors written = written_tensors(parameters, true);
  ASSERT_EQ(written.tensors.size(), 3U);
  EXPECT_EQ(written.tensors[2].name, "c.second_moment");
  EXPECT_EQ(written.tensors[2].tensor.raw(), parameters.at("c").second_moment.raw());
  EXPECT_EQ(written_tensors(parameters, false).tensors.size(), 4U * 3 + 1);
}

TEST(CheckpointTensorsOnRanks, EveryTensorInPiecesIsWrittenWholeByOneRank) {
  for (const int ranks : {2, 3, 7}) {
    on_ranks(ranks, [&](Transport& world) {
      const Group group{&world};
      const Parameters parameters = filled_pieces({{ranks, world.rank()}, {1, 0}, true});
      const WrittenTensors written = gather_written_tensors(parameters, false, group);
      std::string names;
      for (const NamedTensor& named : written.tensors) {
        expect_numbers(named);
        names += named.name + " ";
      }
      std::vector<std::string> all;
      for (const auto& bytes : all_gather_bytes(group, std::as_bytes(std::span(names)), {"names"})) {
        std::string list(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        for (std::size_t end = 0; (end = list.find(' ')) != std::string::npos; list.erase(0, end + 1)) {
          all.push_back(list.substr(0, end));
        }
      }
      EXPECT_THAT(all, testing::UnorderedElementsAre(
                           "a", "a.first_moment", "a.second_moment", "norm", "norm.first_moment", "norm.second_moment",
                           "bias", "b", "b.first_moment", "b.second_moment", "d", "d.first_moment", "d.second_moment"));
    });
  }
}

// The first half of the numbers begins with a (30,000 of 90,219), the second with b, which is what remains.
TEST(CheckpointTensorsOnRanks, RanksWriteAboutAsMuch) {
  on_ranks(2, [](Transport& world) {
    const Parameters parameters = filled_pieces({{2, world.rank()}, {1, 0}, true});
    const WrittenTensors written = gather_written_tensors(parameters, false, {&world});
    EXPECT_LE(written.gathered.bytes(), 2 * sizeof(float) * (45'200 + 60'200));
    EXPECT_EQ(written.tensors.empty(), false);
  });
}

TEST(CheckpointTensors, WantedPartsOfAllRanksMakeUpTheWhole) {
  constexpr int kRanks = 3;
  std::map<std::string, std::int64_t> elements;
  for (int rank = 0; rank < kRanks; ++rank) {
    const Parameters parameters = filled_pieces({{kRanks, rank}, {1, 0}, true});
    for (const auto& [name, wanted] : wanted_tensors(parameters)) {
      for (const auto& [first, into] : wanted.parts) {
        elements[name] += into.elements();
        if (!name.starts_with("a.") && !name.starts_with("b.")) continue;
        const std::int64_t part = name.ends_with(".first_moment") ? 1 : 2;
        EXPECT_EQ(into.data<float>()[0], number_of(name, part, static_cast<std::size_t>(first))) << name;
      }
    }
  }
  EXPECT_EQ(elements.at("a.first_moment"), 30'000);
  EXPECT_EQ(elements.at("b.second_moment"), 60'200);
  EXPECT_EQ(elements.at("norm.first_moment"), 17);
  EXPECT_EQ(elements.at("a"), kRanks * 30'000) << "values are everybody's";
  EXPECT_EQ(elements.at("bias"), kRanks * 3);
  EXPECT_EQ(elements.at("c.first_moment"), kRanks * 15'000) << "of which each has its own";
}

}  // namespace
}  // namespace coe
