#include "runtime/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "runtime/data/maths/maths_problems.h"
#include "runtime/layer/step_trace.h"
#include "tests/ranks.h"
#include "tests/runtime/ranks/shuffled_placement.h"
#include "tests/runtime/training/two_layer_config.h"

namespace coe {
namespace {

Config tiny_config() {
  Config config = two_layer_config(32, 24);
  config.training.warmup_steps = 5;
  return config;
}

struct Curve {
  std::vector<double> losses, norms;
  double validation = 0;
};

Curve train(const Config& config, Transport& world, int steps, const TokenSource& training,
            const TokenSource& validation, const std::vector<Placement>& placements = {}) {
  Trainer trainer(config, world, training, validation, nullptr, placements);
  Curve curve;
  for (int step = 0; step < steps; ++step) {
    const StepReport report = trainer.step();
    curve.losses.push_back(report.loss);
    curve.norms.push_back(report.gradient_norm);
  }
  curve.validation = trainer.validate();
  return curve;
}

/// Trains `steps` steps on the built-in text.
Curve train(const Config& config, Transport& world, int steps, const std::vector<Placement>& placements = {}) {
  const auto open = [&](Split split) {
    return make_token_source(config.data, split, config.model.sequence, config.model.vocab, config.training.seed);
  };
  return train(config, world, steps, *open(Split::kTrain), *open(Split::kValidation), placements);
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected, double relative) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], relative * std::abs(expected[i])) << "step " << i + 1;
  }
}

/// `curve` of rank 0 of a job of `ranks`, on every process of the test.
Curve curve_of(const Config& config, int ranks, int steps) {
  Curve curve;
  on_ranks(ranks, [&](Transport& world) {
    const Curve mine = train(config, world, steps);
    if (world.rank() == 0) curve = mine;
  });
  return curve;
}

/// The models of launcher/quickstart.sh on fewer and shorter sequences.
Config quickstart_config(const std::string& name) {
  Config config = read_config(std::filesystem::path(COE_SOURCE_DIR) / "configs" / (name + ".toml"));
  config.model.sequence = 64;
  config.training.batch = 4;
  config.validation.sequences = 4;
  return config;
}

TEST(TrainerOnRanks, TheFirstStepsOfTheQuickstartMakeNoBufferGrow) {
  for (const char* name : {"moe_8of64", "coe_2x4of64"}) {
    const Config config = quickstart_config(name);
    on_ranks(2, [&](Transport& world) {
      const auto source = make_token_source(config.data, Split::kTrain, config.model.sequence, config.model.vocab, 1);
      Trainer trainer(config, world, *source, *source);
      trainer.validate();
      for (int step = 0; step < 3; ++step) EXPECT_EQ(trainer.step().buffer_growths, 0) << name << " step " << step;
    });
  }
}

TEST(TrainerOnRanks, LayersThatPlaceTheirExpertsApartTrainToTheSameBits) {
  Config config = tiny_config();
  config.training.clip = 0;  // its norm is added up in the order in which experts lie
  for (const int ranks : {2, 4}) {
    on_ranks(ranks, [&](Transport& world) {
      const std::vector<Placement> placements = {shuffled_placement(8, ranks, 1), shuffled_placement(8, ranks, 2)};
      const Curve wanted = train(config, world, 4), got = train(config, world, 4, placements);
      EXPECT_EQ(got.losses, wanted.losses);
      EXPECT_EQ(got.validation, wanted.validation);
      expect_near(got.norms, wanted.norms, 1e-12);
    });
  }
}

TEST(TrainerOnRanks, ACheckpointGoesOnWhereExpertsLieApart) {
  Config config = tiny_config();
  config.training.clip = 0;
  config.output.directory = std::filesystem::path(testing::TempDir()) / "trainer_apart";
  const auto open = [&](Split split) {
    return make_token_source(config.data, split, config.model.sequence, config.model.vocab, config.training.seed);
  };
  on_ranks(2, [&](Transport& world) {
    const auto training = open(Split::kTrain), validation = open(Split::kValidation);
    Trainer first(config, world, *training, *validation, nullptr,
                  {shuffled_placement(8, 2, 1), shuffled_placement(8, 2, 2)});
    Trainer second(config, world, *training, *validation);
    for (int step = 0; step < 2; ++step) first.step();
    first.save();
    ASSERT_TRUE(second.resume().has_value());
    for (int step = 0; step < 2; ++step) EXPECT_EQ(second.step().loss, first.step().loss);
    all_gather_bytes({&world}, {}, {"done"});
    if (world.rank() == 0) std::filesystem::remove_all(config.output.directory);
  });
}

TEST(TrainerOnRanks, PlacementsThatDoNotFitTheModelAreRefused) {
  on_ranks(2, [&](Transport& world) {
    const std::vector<Placement> too_few = {Placement(8, 2)}, too_wide(2, Placement(8, 4)),
                                 of_others(2, Placement(9, 2));
    for (const std::vector<Placement>& placements : {too_few, too_wide, of_others}) {
      EXPECT_THROW(train(tiny_config(), world, 1, placements), Error);
    }
  });
}

TEST(TrainerOnRanks, FiftyStepsDoNotDependOnTheNumberOfRanks) {
  const Config config = tiny_config();
  const Curve alone = curve_of(config, 1, 50);
  for (const int ranks : {2, 4}) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks");
    const Curve curve = curve_of(config, ranks, 50);
    if (curve.losses.empty()) continue;  // a process that is not rank 0
    if (alone.losses.empty()) continue;
    expect_near(curve.losses, alone.losses, 1e-4);
    expect_near(curve.norms, alone.norms, 1e-4);
    EXPECT_NEAR(curve.validation, alone.validation, 1e-4 * alone.validation);
  }
}

TEST(TrainerOnRanks, NorDoTheyWithNoiseJitterBiasGroupsAndRerouting) {
  const Config config = with_all_routing(tiny_config());
  const Curve alone = curve_of(config, 1, 20), three = curve_of(config, 3, 20);
  if (alone.losses.empty() || three.losses.empty()) return;
  expect_near(three.losses, alone.losses, 1e-4);
  expect_near(three.norms, alone.norms, 1e-4);
}

// As threads alone: so many processes would each hold what a test of theirs needs.
TEST(Trainer, ThirtyTwoRanksOf1024ExpertsHaveTheLossesOfOne) {
  if (ranks_are_processes()) GTEST_SKIP() << "ranks are processes";
  Config config = tiny_config();
  config.model.layer.experts = 1024;
  config.training.batch = 32;
  const Curve alone = curve_of(config, 1, 3), many = curve_of(config, 32, 3);
  expect_near(many.losses, alone.losses, 1e-4);
  expect_near(many.norms, alone.norms, 1e-4);
}

TEST(TrainerOnRanks, FiftyStepsDoNotDependOnReplicas) {
  Config config = tiny_config();
  const Curve alone = curve_of(config, 1, 50);
  config.distributed.expert_parallel = 2;
  const Curve replicas = curve_of(config, 4, 50);
  if (replicas.losses.empty() || alone.losses.empty()) return;
  expect_near(replicas.losses, alone.losses, 1e-4);
  expect_near(replicas.norms, alone.norms, 1e-4);
}

/// The built-in problems as separate documents; of every third sequence no label counts, of the others more or fewer.
class PartlyCounted final : public TokenSource {
 public:
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    problems_.read(index, tokens, marks);
    const std::size_t every = static_cast<std::size_t>(index) % 5 + 2;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      if (index % 3 == 1 || i % every == 0) marks[i] |= kUncounted;
    }
  }
  bool marked() const override { return true; }
  std::int64_t sequences() const override { return -1; }
  std::int64_t vocab() const override { return 256; }

 private:
  MathsSource problems_{1, Split::kTrain, 256, Documents::kSeparate};
};

/// The curve on PartlyCounted, on every process that is rank 0.
Curve partly_counted_curve(const Config& config, int ranks) {
  Curve curve;
  const PartlyCounted source;
  on_ranks(ranks, [&](Transport& world) {
    const Curve mine = train(config, world, 20, source, source);
    if (world.rank() == 0) curve = mine;
  });
  return curve;
}

TEST(TrainerOnRanks, DocumentsAndCountedLabelsDoNotDependOnRanksOrMicroBatches) {
  Config config = tiny_config();
  // Every process takes part in every curve; only rank 0 of a job has one.
  const Curve alone = partly_counted_curve(config, 1);
  const auto expect_alone = [&](const Curve& curve) {
    if (curve.losses.empty()) return;
    expect_near(curve.losses, alone.losses, 1e-4);
    expect_near(curve.norms, alone.norms, 1e-4);
    EXPECT_NEAR(curve.validation, alone.validation, 1e-4 * alone.validation);
  };
  for (const int ranks : {2, 3, 7}) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks");
    expect_alone(partly_counted_curve(config, ranks));
  }
  config.training.micro_batch = 2;  // of which some have no label that counts
  expect_alone(partly_counted_curve(config, 2));
}

TEST(TrainerOnRanks, AStepsLossIsTheMeanOverItsLabelsThatCount) {
  Config config = tiny_config();
  config.validation.sequences = config.training.batch;
  const PartlyCounted source;
  on_ranks(2, [&](Transport& world) {
    Trainer trainer(config, world, source, source);
    const double before = trainer.validate();  // on the sequences of the first step
    std::vector<std::int32_t> tokens(33);
    std::vector<std::uint8_t> marks(33);
    std::int64_t counted = 0;
    for (std::int64_t index = 0; index < config.training.batch; ++index) {
      source.read(index, tokens, marks);
      counted += std::count(marks.begin() + 1, marks.end(), 0);
    }
    const StepReport report = trainer.step();
    EXPECT_EQ(report.counted, counted);
    EXPECT_NEAR(report.loss, before, 1e-5 * before);
  });
}

/// Zeros, of which none counts as a label.
class NothingCounted final : public TokenSource {
 public:
  void read(std::int64_t, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override {
    std::ranges::fill(tokens, 0);
    std::ranges::fill(marks, std::uint8_t{kUncounted});
  }
  bool marked() const override { return true; }
  std::int64_t sequences() const override { return -1; }
  std::int64_t vocab() const override { return 256; }
};

TEST(TrainerOnRanks, AStepInWhichNoLabelCountsIsSkipped) {
  const NothingCounted nothing;
  const PartlyCounted some;
  for_each_ranks([&](Transport& world) {
    Config config = tiny_config();
    config.training.weight_decay = 0.5F;
    Trainer trainer(config, world, nothing, some);
    const double before = trainer.validate();
    const StepReport report = trainer.step();
    EXPECT_EQ(report.skipped, "none of its sequences has a label that counts (data.loss_fields)");
    EXPECT_EQ(trainer.steps_done(), 1);
    EXPECT_EQ(trainer.validate(), before);
  });
}

TEST(TrainerOnRanks, TheLossFalls) {
  const Curve curve = curve_of(tiny_config(), 2, 50);
  if (curve.losses.empty()) return;
  EXPECT_NEAR(curve.losses.front(), std::log(256.0), 0.1);
  EXPECT_LT(curve.losses.back(), curve.losses.front() - 1.5);
}

TEST(TrainerOnRanks, MicroBatchesAccumulateToTheSameStep) {
  Config config = tiny_config();
  const Curve whole = curve_of(config, 2, 5);
  config.training.micro_batch = 2;
  const Curve pieces = curve_of(config, 2, 5);
  if (whole.losses.empty()) return;
  expect_near(pieces.losses, whole.losses, 1e-5);
  expect_near(pieces.norms, whole.norms, 1e-4);
}

TEST(TrainerOnRanks, ARunRepeatsBitForBit) {
  const Curve first = curve_of(tiny_config(), 2, 5), second = curve_of(tiny_config(), 2, 5);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.norms, second.norms);
}

TEST(TrainerOnRanks, ReluRoutingMovesItsCoefficientTowardsTheWantedSparsity) {
  Config config = tiny_config();
  config.model.layer.router = RouterKind::kRelu;
  config.model.layer.balance_loss = BalanceLoss::kNone;
  on_ranks(2, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    const StepReport first = trainer.step();
    const StepReport second = trainer.step();
    EXPECT_FLOAT_EQ(static_cast<float>(first.l1_coeff), 1e-8F);
    // About half of all logits are positive at first: fewer zeros than 1 - 2/8.
    EXPECT_NEAR(first.routing.at(0).sparsity(), 0.5, 0.1);
    EXPECT_NEAR(second.l1_coeff, 1.2 * first.l1_coeff, 1e-12);
  });
}

TEST(TrainerOnRanks, ReluRoutingReachesTheWantedSparsity) {
  Config config = tiny_config();
  config.model.layer.router = RouterKind::kRelu;
  config.model.layer.balance_loss = BalanceLoss::kNone;
  config.model.layer.iterations = 1;
  on_ranks(1, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    constexpr int kSteps = 300, kMeasured = 100;
    double sparsity = 0;
    for (int step = 1; step <= kSteps; ++step) {
      const StepReport report = trainer.step();
      if (step <= kSteps - kMeasured) continue;
      for (const RoutingReport& routing : report.routing) {
        sparsity += routing.sparsity() / (kMeasured * static_cast<double>(report.routing.size()));
      }
    }
    EXPECT_NEAR(sparsity, 1 - 2.0 / 8.0, 0.02);
  });
}

TEST(TrainerOnRanks, RanksWithoutSequencesAndWithoutExpertsTakePart) {
  Config config = tiny_config();
  config.model.layer.experts = 3;
  config.training.batch = 2;
  const Curve alone = curve_of(config, 1, 5), many = curve_of(config, 7, 5);
  if (many.losses.empty() || alone.losses.empty()) return;
  expect_near(many.losses, alone.losses, 1e-4);
  expect_near(many.norms, alone.norms, 1e-4);
}

TEST(TrainerOnRanks, ALossThatIsNotFiniteStopsEveryRank) {
  Config config = tiny_config();
  config.training.learning_rate = std::numeric_limits<float>::max();
  config.training.warmup_steps = 0;
  on_ranks(2, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    trainer.step();
    try {
      for (int step = 0; step < 5; ++step) trainer.step();
      FAIL() << "trained on with infinite weights";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNonFinite) << error.what();
      EXPECT_THAT(error.what(), testing::MatchesRegex("step [0-9]+: .* is not finite \\(rank [01].*\\)"));
    }
  });
}

std::filesystem::path fresh_folder(const std::string& name) {
  const auto folder = std::filesystem::path(testing::TempDir()) / ("trainer_" + name);
  return folder;
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream input(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(input), {}};
}

TEST(TrainerOnRanks, ASkippedStepCountsAndChangesNothingElse) {
  Config config = tiny_config();
  config.training.learning_rate = 1e30F;  // weights that are finite, products of them that are not
  config.training.warmup_steps = 0;
  config.training.non_finite = OnNonFinite::kSkip;
  config.model.layer.router_bias = true;
  config.model.layer.router_bias_rate = 0.125F;
  config.output.directory = fresh_folder("skip");
  on_ranks(2, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    EXPECT_EQ(trainer.step().skipped, "");
    const auto before = trainer.save();
    for (const std::int64_t step : {2, 3}) {
      const StepReport report = trainer.step();
      EXPECT_EQ(report.step, step);
      EXPECT_THAT(report.skipped, testing::HasSubstr("is not finite (rank "));
      EXPECT_TRUE(report.routing.empty());
    }
    EXPECT_EQ(trainer.steps_done(), 3);
    const auto after = trainer.save();
    for (const char* file : {"replicated.safetensors", "experts_000.safetensors", "experts_001.safetensors"}) {
      EXPECT_FALSE(bytes_of(before / file).empty());
      EXPECT_EQ(bytes_of(before / file), bytes_of(after / file)) << file;
    }
    barrier({&world}, {"end of the comparison"});
    if (world.rank() == 0) std::filesystem::remove_all(config.output.directory);
  });
}

/// Losses of the steps after a resume from `config.output.directory`.
std::vector<double> losses_after_resume(const Config& config, int ranks, int steps) {
  std::vector<double> losses;
  on_ranks(ranks, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    ASSERT_TRUE(trainer.resume());
    EXPECT_EQ(trainer.steps_done(), 4);
    for (int step = 0; step < steps; ++step) {
      const double loss = trainer.step().loss;
      if (world.rank() == 0) losses.push_back(loss);
    }
  });
  return losses;
}

void expect_resumption(Config config, const std::string& name) {
  config.output.directory = fresh_folder(name + (ranks_are_processes() ? "_mpi" : "_local"));
  std::vector<double> undisturbed;
  on_ranks(2, [&](Transport& world) {
    if (world.rank() == 0) std::filesystem::remove_all(config.output.directory);
    barrier({&world}, {"test"});
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    for (int step = 1; step <= 6; ++step) {
      const double loss = trainer.step().loss;
      if (step == 4) trainer.save();
      if (step > 4 && world.rank() == 0) undisturbed.push_back(loss);
    }
  });
  EXPECT_EQ(losses_after_resume(config, 2, 2), undisturbed);
  for (const int ranks : {1, 4}) {
    const std::vector<double> losses = losses_after_resume(config, ranks, 1);
    if (losses.empty() || undisturbed.empty()) continue;
    EXPECT_NEAR(losses[0], undisturbed[0], 1e-5 * undisturbed[0]);
  }
}

TEST(TrainerOnRanks, ResumesBitForBitAndOnOtherRanksClosely) { expect_resumption(tiny_config(), "plain"); }

TEST(TrainerOnRanks, ResumesWithRouterBiasNoiseAndJitter) {
  expect_resumption(with_all_routing(tiny_config()), "all_routing");
}

Config sharded(Config config) {
  config.training.shard_optimiser = true;
  return config;
}

TEST(TrainerOnRanks, StateInPiecesTrainsBitForBitAsStateOfTheWhole) {
  Config replicas = tiny_config(), skipping = with_all_routing(tiny_config());
  replicas.distributed.expert_parallel = 2;
  skipping.training.micro_batch = 4;
  skipping.training.decay = Decay::kMatrices;
  for (const auto& [config, ranks] :
       {std::pair(tiny_config(), 1), std::pair(tiny_config(), 2), std::pair(skipping, 3), std::pair(replicas, 4)}) {
    const Curve whole = curve_of(config, ranks, 12), pieces = curve_of(sharded(config), ranks, 12);
    EXPECT_EQ(pieces.losses, whole.losses) << ranks;
    EXPECT_EQ(pieces.norms, whole.norms) << ranks;
    EXPECT_EQ(pieces.validation, whole.validation) << ranks;
  }
}

/// Trains from the newest checkpoint, or the start, so many steps; returns their losses and leaves a checkpoint.
std::vector<double> go_on(const Config& config, int ranks, int steps) {
  std::vector<double> losses;
  on_ranks(ranks, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    trainer.resume();
    for (int step = 0; step < steps; ++step) {
      const double loss = trainer.step().loss;
      if (world.rank() == 0) losses.push_back(loss);
    }
    trainer.save();
  });
  return losses;
}

// A chain of checkpoints by whole and by pieces, on two and four ranks: each run goes on from what the last one left.
void expect_interchange(const Config& config, const std::string& name) {
  const std::string suffix = ranks_are_processes() ? "_mpi" : "_local";
  const auto chain = [&](const std::string& folder, bool first, bool second, bool third) {
    Config run = config;
    run.output.directory = fresh_folder(name + folder + suffix);
    on_ranks(4, [&](Transport& world) {
      if (world.rank() == 0) std::filesystem::remove_all(run.output.directory);
      barrier({&world}, {"test"});
    });
    std::vector<double> losses;
    for (const auto& [ranks, shards] :
         {std::pair(2, first), std::pair(2, second), std::pair(4, third), std::pair(2, first), std::pair(4, second)}) {
      run.training.shard_optimiser = shards;
      const std::vector<double> more = go_on(run, ranks, 2);
      losses.insert(losses.end(), more.begin(), more.end());
    }
    return losses;
  };
  const std::vector<double> wanted = chain("whole", false, false, false);
  EXPECT_EQ(chain("pieces", true, true, true), wanted);
  EXPECT_EQ(chain("to_pieces", false, true, false), wanted);
  EXPECT_EQ(chain("from_pieces", true, false, true), wanted);
}

TEST(TrainerOnRanks, CheckpointsOfPiecesAndOfTheWholeAreTheSame) { expect_interchange(tiny_config(), "interchange"); }

TEST(TrainerOnRanks, SoTheyAreOfReplicas) {
  Config config = with_all_routing(tiny_config());
  config.distributed.expert_parallel = 2;
  expect_interchange(config, "replicas");
}

/// Spans of rank 0's second step.
std::vector<Span> traced_step(const Config& config, int ranks) {
  std::vector<Span> spans;
  on_ranks(ranks, [&](Transport& world) {
    const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
    Trainer trainer(config, world, *source, *source);
    trainer.step();
    StepTrace trace;
    trainer.trace_steps(&trace);
    trainer.step();
    trainer.trace_steps(nullptr);
    if (world.rank() == 0) spans = trace.spans();
  });
  return spans;
}

bool is_backward_work(const Span& span) {
  return span.track == Span::Track::kHost && span.place.backward && span.part == Part::kAttention;
}

// Of several layers, so that gradients of more than one stretch are final while others are not.
TEST(TrainerOnRanks, GradientsAreAddedUpWhileTheBackwardOfTheLastMicroBatchGoesOn) {
  Config config = tiny_config();
  config.model.hidden = 64;
  config.model.layers = 4;
  config.training.micro_batch = 4;
  for (const bool shards : {false, true}) {
    config.training.shard_optimiser = shards;
    const std::vector<Span> spans = traced_step(config, 2);
    if (spans.empty()) continue;  // a process that is not rank 0
    double beside = 0, first_sum = 1e300;
    std::vector<double> begins;  // of attention's backward, four layers in each of two micro-batches
    for (const Span& span : spans) {
      if (is_backward_work(span)) begins.push_back(span.begin);
      if (span.track != Span::Track::kReduction) continue;
      first_sum = std::min(first_sum, span.begin);
      for (const Span& work : spans) {
        if (!is_backward_work(work)) continue;
        beside += std::max(0.0, std::min(span.end, work.end) - std::max(span.begin, work.begin));
      }
    }
    ASSERT_EQ(begins.size(), 8U);
    EXPECT_GT(beside, 0) << "seconds in which both went on";
    EXPECT_GT(first_sum, begins[3]) << "the first micro-batch's gradients are not the step's";
    EXPECT_LT(first_sum, begins.back()) << "and the last one's not all of them when it begins";
  }
}

TEST(TrainerOnRanks, AnEvenerLoadComesOfARouterBias) {
  Config config = tiny_config();
  config.model.layer.balance_loss = BalanceLoss::kNone;
  config.model.layer.router_bias_rate = 0.01F;
  const auto mean_imbalance = [&](bool bias) {
    config.model.layer.router_bias = bias;
    double sum = 0;
    on_ranks(1, [&](Transport& world) {
      const auto source = make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, 1);
      Trainer trainer(config, world, *source, *source);
      for (int step = 1; step <= 60; ++step) {
        const StepReport report = trainer.step();
        for (const RoutingReport& routing : report.routing) sum += step > 40 ? routing.load_max_over_mean() / 80 : 0;
      }
    });
    return sum;
  };
  const double with = mean_imbalance(true), without = mean_imbalance(false);
  if (without == 0) return;  // a process that is not rank 0
  EXPECT_LT(with, 0.8 * without);
}

}  // namespace
}  // namespace coe
