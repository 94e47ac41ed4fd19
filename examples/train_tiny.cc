// A whole training loop: CoE-2(2/8) on the built-in maths problems, over two thread ranks.

#include <fmt/core.h>

#include "comm/make_transport.h"
#include "runtime/config/config.h"
#include "runtime/data/token_source.h"
#include "runtime/training/trainer.h"

namespace {

coe::Config make_config() {
  coe::Config config;
  coe::ModelConfig& model = config.model;
  model.vocab = 256;  // bytes
  model.hidden = 32;
  model.layers = 2;
  model.heads = 4;
  model.sequence = 64;
  model.layer.hidden = model.hidden;
  model.layer.expert_hidden = 24;
  model.layer.experts = 8;
  model.layer.top_k = 2;
  model.layer.iterations = 2;
  config.training.steps = 60;
  config.training.batch = 8;
  config.training.learning_rate = 3e-3F;
  config.training.warmup_steps = 5;
  config.validation.sequences = 16;
  coe::validate(config);
  return config;
}

}  // namespace

int main() {
  const coe::Config config = make_config();
  const auto source = [&](coe::Split split) {
    return coe::make_token_source(config.data, split, config.model.sequence, config.model.vocab, config.training.seed);
  };
  const auto train = source(coe::Split::kTrain), valid = source(coe::Split::kValidation);

  double before = 0, after = 0;
  coe::run_local_ranks(2, [&](coe::Transport& world) {
    coe::Trainer trainer(config, world, *train, *valid);
    const double first = trainer.validate();
    for (std::int64_t step = 1; step <= config.training.steps; ++step) {
      const coe::StepReport report = trainer.step();
      if (world.rank() == 0 && step % 10 == 0)
        fmt::print("step {:3}: loss {:.3f}, {:.0f} tokens/s\n", step, report.loss, report.tokens_per_second());
    }
    const double last = trainer.validate();
    if (world.rank() != 0) return;
    before = first;
    after = last;
  });

  // Untrained, all 256 bytes are equally likely: ln 256 = 5.55 nats.
  fmt::print("validation loss {:.3f} before, {:.3f} after (nats per byte)\n", before, after);
  return before > 5 && before < 6 && after < 3.5 ? 0 : 1;
}
