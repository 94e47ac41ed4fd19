#include "launcher/train/step_tracing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <iterator>

#include "comm/make_transport.h"
#include "tests/bad_input.h"
#include "tests/runtime/files/scratch_directory.h"
#include "tests/runtime/training/two_layer_config.h"

namespace coe {
namespace {

namespace json = boost::json;

TEST(TraceJson, IsWhatTraceViewersRead) {
  const std::vector<std::vector<Span>> ranks = {
      {{Span::Track::kHost, Part::kGate, {.layer = 3, .iteration = 1}, 10.5, 10.75}},
      {{Span::Track::kFlight, Part::kDispatch, {.layer = 0, .iteration = 0, .chunk = 2, .backward = true}, 10.25, 11},
       {Span::Track::kReduction, Part::kReduce, {.backward = true}, 10.5, 10.75}}};
  const json::object trace = json::parse(trace_json(ranks)).as_object();
  std::vector<json::object> spans;
  for (const json::value& event : trace.at("traceEvents").as_array()) {
    if (event.at("ph") == "X") spans.push_back(event.as_object());
  }
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans[0].at("name"), "gate");
  EXPECT_EQ(spans[0].at("pid"), 0);
  EXPECT_EQ(spans[0].at("ts").to_number<double>(), 250000);
  EXPECT_EQ(spans[0].at("dur").to_number<double>(), 250000);
  EXPECT_EQ(spans[0].at("args").at("layer"), 3);
  EXPECT_EQ(spans[1].at("name"), "flight");
  EXPECT_EQ(spans[1].at("pid"), 1);
  EXPECT_EQ(spans[1].at("tid"), 5);
  EXPECT_EQ(spans[1].at("args").at("backward"), true);
  EXPECT_EQ(spans[2].at("name"), "reduce");
  EXPECT_EQ(spans[2].at("tid"), 2);
}

TEST(StepTracing, SpansOfThreeStepsOfEveryRankAreWritten) {
  const ScratchDirectory scratch;
  const std::filesystem::path file = scratch.path() / "steps.json";
  Config config = two_layer_config(16, 8);
  config.exchange.chunks = 2;
  run_local_ranks(2, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    StepTracing tracing(file, trainer);
    int written = 0;
    for (int step = 0; step < 7; ++step) {
      tracing.begin_step();
      trainer.step();
      written += tracing.end_step({&world}) ? 1 : 0;
      EXPECT_EQ(tracing.is_complete(), step >= 4);
    }
    EXPECT_EQ(written, world.rank() == 0 ? 1 : 0);
  });
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::size_t optimisers = 0, flights = 0, second_chunks = 0;
  const json::value trace = json::parse(text);
  for (const json::value& event : trace.at("traceEvents").as_array()) {
    optimisers += event.at("name") == "optimiser" ? 1 : 0;
    if (event.at("name") != "flight") continue;
    ++flights;
    EXPECT_GE(event.at("dur").to_number<double>(), 0);
    second_chunks += event.at("args").at("chunk") == 1 ? 1 : 0;
  }
  EXPECT_EQ(optimisers, 2U * 3);
  EXPECT_EQ(flights, 2U * 3 * 2 * 2 * 2 * 2) << "ranks, steps, layers, iterations, chunks, ways";
  EXPECT_EQ(second_chunks * 2, flights);
}

TEST(StepTracing, AFileThatCannotBeIsRefused) {
  const ScratchDirectory scratch;
  const auto world = make_transport("local");
  const Config config = two_layer_config(16, 8);
  const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
  Trainer trainer(config, *world, *source, *source);
  bad_input([&] { StepTracing(scratch.path(), trainer); });
}

}  // namespace
}  // namespace coe
