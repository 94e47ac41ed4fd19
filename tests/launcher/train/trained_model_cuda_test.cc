#include <gmock/gmock.h>

#include "comm/make_transport.h"
#include "launcher/train/trained_model.h"
#include "runtime/training/trainer.h"
#include "runtime/training/validation_loss.h"
#include "tests/kernels/memory/on_device.h"
#include "tests/launcher/scratch.h"
#include "tests/launcher/tiny_run.h"

namespace coe {
namespace {

using TrainedModelCuda = OnCuda;

TEST_F(TrainedModelCuda, IsJudgedOnTheDeviceAsOnTheHost) {
  const Scratch scratch;
  Config config = parse_config(kTinyConfig, "tiny");
  config.output.directory = scratch / "run";
  const auto source =
      make_token_source({}, Split::kTrain, config.model.sequence, config.model.vocab, config.training.seed);
  const auto world = make_transport("local");
  double wanted = 0;
  {
    Trainer trainer(config, *world, *source, *source);
    trainer.step();
    trainer.save();
    wanted = trainer.validate();
  }
  config.training.device = Device::Kind::kCuda;
  for (const Precision dtype : {Precision::kF32, Precision::kBF16}) {
    config.training.dtype = dtype;
    const std::int64_t micro_batch = config.training.sequences_at_once();
    TrainedModel trained(config, scratch / "run", micro_batch * config.model.sequence, *world);
    Arena arena(0, trained.stream.device());
    const double loss =
        validation_loss(trained.model, trained.groups, *source, config.validation.sequences, micro_batch, arena);
    EXPECT_NEAR(loss, wanted, (dtype == Precision::kF32 ? 1e-5 : 1e-2) * wanted);
  }
}

}  // namespace
}  // namespace coe
