#include "runtime/routing/routing_record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "runtime/files/safetensors.h"
#include "tests/bad_input.h"
#include "tests/runtime/files/scratch_directory.h"

namespace coe {
namespace {

using ::testing::HasSubstr;

/// CoE-2(2/3) in two layers; three tokens choose {0, 1}, {0, 2}, {1, 2} in every iteration.
RoutingRecord three_tokens() {
  RoutingRecord record;
  record.model = "CoE-2(2/3)";
  record.layers = record.iterations = record.top_k = 2;
  record.experts = record.tokens = 3;
  record.steps = 4;
  record.last_step = 9;
  record.load.assign(12, 2);
  record.dropped.assign(4, 0);
  for (int i = 0; i < 4; ++i) record.coactivation.insert(record.coactivation.end(), {2, 1, 1, 1, 2, 1, 1, 1, 2});
  record.transitions.assign(record.coactivation.begin(), record.coactivation.begin() + 18);
  record.layer_transitions.assign(record.coactivation.begin(), record.coactivation.begin() + 9);
  return record;
}

TEST(RoutingRecordFile, ReadsWhatWasWritten) {
  const ScratchDirectory scratch;
  write_routing_record(scratch / "routing.safetensors", three_tokens());
  EXPECT_TRUE(read_routing_record(scratch / "routing.safetensors") == three_tokens());
}

TEST(RoutingRecordFile, OneLayerOfOneIterationHasNoTransitions) {
  const ScratchDirectory scratch;
  RoutingRecord record = three_tokens();
  record.layers = record.iterations = 1;
  record.load.resize(3);
  record.dropped.resize(1);
  record.coactivation.resize(9);
  record.transitions.clear();
  record.layer_transitions.clear();
  write_routing_record(scratch / "x", record);
  EXPECT_TRUE(read_routing_record(scratch / "x") == record);
}

TEST(RoutingRecordFile, WhereChoicesAreDroppedRowsMaySumToLess) {
  const ScratchDirectory scratch;
  RoutingRecord record = three_tokens();
  record.model = "ReMoE-CoE-2(2/3)";
  record.fixed_choices = false;
  record.layer_transitions[0] = 1;
  write_routing_record(scratch / "x", record);
  EXPECT_TRUE(read_routing_record(scratch / "x") == record);
}

/// A change to a right record, and what the refusal must say.
struct Damage {
  std::string name;
  std::function<void(RoutingRecord&)> change;
  std::string said;
};

void PrintTo(const Damage& damage, std::ostream* stream) { *stream << damage.name; }

const std::vector<Damage>& damages() {
  static const std::vector<Damage> kDamages{
      {"NegativeLoad", [](RoutingRecord& r) { r.load[1] = -1; }, "load: count -1 is negative"},
      {"LoadAboveTokens", [](RoutingRecord& r) { r.load[1] = 4; }, "load: count 4 of 3 tokens"},
      {"LoadsDoNotAddUp", [](RoutingRecord& r) { r.load[4] = 1; }, "load of layer 0, iteration 1: 5 choices"},
      {"DroppedDoNotAddUp", [](RoutingRecord& r) { r.dropped[3] = 1; }, "load of layer 1, iteration 1: 7 choices"},
      {"HugeDropped", [](RoutingRecord& r) { r.dropped[0] = INT64_MAX; }, "dropped: count 9223372036854775807"},
      {"Diagonal", [](RoutingRecord& r) { r.coactivation[0] = 1; }, "coactivation of layer 0, iteration 0: diagonal 0"},
      {"NotSymmetric", [](RoutingRecord& r) { r.coactivation[28] = 2; },
       "coactivation of layer 1, iteration 1: (1, 0)"},
      {"CoactivationRow", [](RoutingRecord& r) { r.coactivation[1] = r.coactivation[3] = 0; }, "row 0 sums to 3"},
      {"TransitionRow", [](RoutingRecord& r) { r.transitions[9] = 1; },
       "transitions from layer 1, iteration 0: row 0 sums to 3, must be 4"},
      {"TransitionColumn",
       [](RoutingRecord& r) {
         r.transitions[9] = 1;
         r.transitions[10] = 2;
       },
       "column 0 sums to 3, must be 4"},
      {"TransitionAboveLoad", [](RoutingRecord& r) { r.transitions[0] = 3; }, "(0, 0) is 3, at most 2"},
      {"LayerTransitionRow", [](RoutingRecord& r) { r.layer_transitions[8] = 1; },
       "transitions from layer 0, iteration 1: row 2"},
      {"MoreTokens", [](RoutingRecord& r) { r.tokens = 4; }, "6 choices with the dropped ones, must be 8"},
      {"AbsurdTokens", [](RoutingRecord& r) { r.tokens = INT64_MAX; }, "tokens is '9223372036854775807'"},
      {"NoLayers", [](RoutingRecord& r) { r.layers = 0; }, "layers is '0'"},
      {"TopKAboveExperts", [](RoutingRecord& r) { r.top_k = 4; }, "top_k is '4', must be a number from 1 to 3"},
  };
  return kDamages;
}

class DamagedRoutingRecord : public ::testing::TestWithParam<Damage> {};

/// Writes tensors that need not fit the metadata.
void write_tensors(const std::filesystem::path& file, const RoutingRecord& right, const RoutingRecord& wrong) {
  write_routing_record(file, right);
  const SafetensorsFile before(file);
  std::map<std::string, std::string> metadata = before.metadata();
  metadata["layers"] = std::to_string(wrong.layers);
  metadata["top_k"] = std::to_string(wrong.top_k);
  metadata["tokens"] = std::to_string(wrong.tokens);
  std::vector<NamedTensor> tensors;
  const auto add = [&](const char* name, const std::vector<std::int64_t>& counts) {
    tensors.push_back(
        {name, Tensor(const_cast<std::int64_t*>(counts.data()), DType::kI64, before.tensor(name).shape())});
  };
  add("load", wrong.load);
  add("dropped", wrong.dropped);
  add("coactivation", wrong.coactivation);
  add("transitions", wrong.transitions);
  add("layer_transitions", wrong.layer_transitions);
  write_safetensors(file.string() + "-wrong", metadata, tensors);
}

TEST_P(DamagedRoutingRecord, IsRefusedByName) {
  const ScratchDirectory scratch;
  RoutingRecord wrong = three_tokens();
  GetParam().change(wrong);
  write_tensors(scratch / "x", three_tokens(), wrong);
  EXPECT_THAT(bad_input([&] { read_routing_record(scratch / "x-wrong"); }), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(Counts, DamagedRoutingRecord, ::testing::ValuesIn(damages()),
                         [](const auto& damage) { return damage.param.name; });

/// Rewrites the file with other metadata and tensors.
std::string refusal_of(
    const std::function<void(std::map<std::string, std::string>&, std::vector<NamedTensor>&)>& change) {
  const ScratchDirectory scratch;
  write_routing_record(scratch / "x", three_tokens());
  const SafetensorsFile before(scratch / "x");
  auto metadata = before.metadata();
  std::vector<NamedTensor> tensors;
  for (const std::string& name : before.names()) tensors.push_back({name, before.tensor(name)});
  change(metadata, tensors);
  write_safetensors(scratch / "y", metadata, tensors);
  return bad_input([&] { read_routing_record(scratch / "y"); });
}

TEST(RoutingRecordFile, OtherFormatsAndVersionsAreRefused) {
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata.erase("format"); }), HasSubstr("is no routing record"));
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata["version"] = "2"; }), HasSubstr("of version 2"));
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata.erase("tokens"); }), HasSubstr("metadata lack tokens"));
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata["steps"] = "4x"; }), HasSubstr("steps is '4x'"));
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata["choices"] = "some"; }), HasSubstr("choices is 'some'"));
}

TEST(RoutingRecordFile, TensorsThatAreMissingOrOfAnotherKindAreRefused) {
  EXPECT_THAT(refusal_of([](auto&, auto& tensors) { tensors.pop_back(); }), HasSubstr("4 tensors, must be 5"));
  EXPECT_THAT(refusal_of([](auto&, auto& tensors) { tensors[0].name = "lode"; }), HasSubstr("has no tensor"));
  EXPECT_THAT(refusal_of([](auto& metadata, auto&) { metadata["experts"] = "65536"; }),
              HasSubstr("must be I64 [2, 2, 65536]"));
  EXPECT_THAT(refusal_of([](auto&, auto& tensors) {
                Tensor& tensor = tensors[0].tensor;
                tensor = Tensor(tensor.raw(), DType::kF64, tensor.shape());
              }),
              HasSubstr("F64"));
}

}  // namespace
}  // namespace coe
