#include "launcher/train/trained_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/make_transport.h"
#include "runtime/training/trainer.h"
#include "runtime/training/validation_loss.h"
#include "tests/bad_input.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

namespace po = boost::program_options;

po::variables_map values_of(const std::string& place) {
  po::options_description options;
  add_checkpoint_option(options);
  po::variables_map values;
  po::store(po::command_line_parser({"--checkpoint", place}).options(options).run(), values);
  return values;
}

TEST(TrainedModel, HoldsWhatWasTrained) {
  const Scratch scratch;
  Config config = parse_config(kTinyConfig, "tiny");
  config.output.directory = scratch / "run";
  const auto source =
      make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, config.training.seed);
  double loss = 0;
  const auto world = make_transport("local");
  {
    Trainer trainer(config, *world, *source, *source);
    trainer.step();
    trainer.step();
    trainer.save();
    loss = trainer.validate();
  }
  TrainedModel trained(config, named_checkpoint(values_of((scratch / "run").string())), 64, *world);
  EXPECT_EQ(trained.steps, 2);
  Arena arena;
  EXPECT_EQ(validation_loss(trained.model, trained.groups, *source, config.validation.sequences,
                            config.training.sequences_at_once(), arena),
            loss);
  EXPECT_EQ(trained.model.parameters().at("model.norm.weight").gradient.elements(), 0);
}

TEST(TrainedModel, AFolderWithoutACheckpointIsRefused) {
  const Scratch scratch;
  EXPECT_THAT(bad_input([&] { named_checkpoint(values_of(scratch.path().string())); }),
              testing::HasSubstr("holds no complete checkpoint"));
}

}  // namespace
}  // namespace coe
