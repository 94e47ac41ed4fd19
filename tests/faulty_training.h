#pragma once

#include "comm/flight_recorder.h"
#include "runtime/training/trainer.h"
#include "tests/faulty_transport.h"

namespace coe {

/// A model of 2 layers x 2 iterations in which ranks talk in every phase there is: 4 ranks as 2 groups of experts and
/// their replicas, with a capacity of the whole batch and a loss over it.
inline Config talkative_config() {
  Config config;
  config.model.hidden = 16;
  config.model.layers = 2;
  config.model.heads = 2;
  config.model.sequence = 16;
  config.model.layer.expert_hidden = 8;
  config.model.layer.experts = 8;
  config.model.layer.top_k = 2;
  config.model.layer.iterations = 2;
  config.model.layer.balance_loss = BalanceLoss::kBatch;
  config.model.layer.balance_loss_coeff = 0.01F;
  config.model.layer.drop_policy = DropPolicy::kProbability;
  config.model.layer.capacity_factor = 1.0;
  config.training.steps = 2;
  config.training.batch = 8;
  config.validation.sequences = 4;
  config.distributed.expert_parallel = 2;
  config.distributed.deadline_seconds = 20;
  return config;
}

/// One step, in which rank 1 throws instead of its post number `post` (from 0; setting up has some as well).
inline void train_faultily(Transport& world, FlightRecorder& recorder, long post) {
  const Config config = talkative_config();
  const auto source = make_token_source(config.data, Split::kTrain, config.model.sequence, config.model.vocab, 1);
  long left = world.rank() == 1 ? post : -1;
  FaultyTransport faulty(world, left);
  Trainer(config, faulty, *source, *source, &recorder).step();
}

}  // namespace coe
