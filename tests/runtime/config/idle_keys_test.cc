#include "runtime/config/idle_keys.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

Config config_of(const std::vector<std::string>& settings) {
  return parse_config(
      "model = { hidden = 16, layers = 1, heads = 2, sequence = 32 }\n"
      "layer = { expert_hidden = 8, experts = 8, top_k = 2, iterations = 2 }\n"
      "training = { steps = 4, batch = 4 }\n",
      "a test", settings);
}

TEST(IdleKeys, WhatHasItsDefaultIsNotNamed) { EXPECT_EQ(idle_keys(config_of({}), 1), ""); }

TEST(IdleKeys, EachIsNamedWithItsReason) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"layer.balance_loss_coeff=0.5"}, "layer.balance_loss_coeff 0.5 (layer.balance_loss is none)"},
      {{"layer.balance_loss=batch"}, "layer.balance_loss \"batch\" (layer.balance_loss_coeff is 0)"},
      {{"layer.router_bias_rate=0.5"}, "layer.router_bias_rate 0.5 (layer.router_bias is false)"},
      {{"layer.l1_coeff=0.5"}, "layer.l1_coeff 0.5 (layer.router is not relu)"},
      {{"layer.norm_topk_prob=true", "layer.top_k=1"}, "layer.norm_topk_prob true (layer.top_k is 1)"},
      {{"layer.gate=shared", "layer.iterations=1"}, "layer.gate \"shared\" (layer.iterations is 1)"},
      {{"layer.groups=4", "layer.groups_kept=4"},
       "layer.groups 4 (layer.groups_kept is all of them), layer.groups_kept 4 (it is all of layer.groups)"},
      {{"exchange.chunks=2", "layer.drop_policy=position", "layer.capacity_factor=1.5"},
       "exchange.chunks 2 (with layer.drop_policy all tokens of an iteration share places: it is one chunk)"},
      {{"training.final_learning_rate=0.5"}, "training.final_learning_rate 0.5 (training.schedule is constant)"},
      {{"training.decay=matrices", "training.weight_decay=0"},
       "training.decay \"matrices\" (training.weight_decay is 0)"},
      {{"data.fields=['a']", "data.train=x.txt"}, "data.fields [\"a\"] (no data is JSONL)"},
      {{"data.end_token=10", "data.train=x.txt"}, "data.end_token 10 (data.documents is packed)"},
      {{"distributed.threads=2", "training.device=cuda"},
       "distributed.threads 2 (experts are on a GPU, which training.device names)"},
      {{"exchange.devices=nccl", "exchange.sizes=padded"},
       "exchange.devices \"nccl\" (training.device is cpu), exchange.sizes \"padded\" (training.device is cpu)"},
      {{"training.device=cuda", "exchange.devices=mapped", "exchange.sizes=padded", "layer.drop_policy=position",
        "layer.capacity_factor=1.5"},
       "exchange.sizes \"padded\" (exchange.devices is mapped, which sends no messages)"},
      {{"data.end_token=10", "data.documents=separate"}, "data.end_token 10 (this data says where documents end)"}};
  for (const auto& [settings, line] : cases) EXPECT_EQ(idle_keys(config_of(settings), 1), line);
}

TEST(IdleKeys, NothingIsShardedOverOneRank) {
  const Config config = config_of({"training.shard_optimiser=true"});
  EXPECT_EQ(idle_keys(config, 1), "training.shard_optimiser true (one rank holds everything)");
  EXPECT_EQ(idle_keys(config, 2), "");
}

TEST(IdleKeys, RoomIsBetweenGpus) {
  EXPECT_EQ(idle_keys(config_of({"exchange.row_slack=3"}), 2), "exchange.row_slack 3 (training.device is cpu)");
  EXPECT_EQ(idle_keys(config_of({"exchange.row_slack=3", "training.device=cuda"}), 2), "");
}

TEST(IdleKeys, AGraphIsOfOneRankOnAGpuThatSendsNoMessages) {
  EXPECT_EQ(idle_keys(config_of({"training.graph=true"}), 1), "training.graph true (training.device is cpu)");
  EXPECT_EQ(idle_keys(config_of({"training.graph=true", "training.device=cuda"}), 1), "");
  EXPECT_EQ(idle_keys(config_of({"training.graph=true", "training.device=cuda"}), 2),
            "training.graph true (several ranks meet between their launches)");
  EXPECT_EQ(idle_keys(config_of({"training.graph=true", "training.device=cuda", "exchange.devices=host"}), 1),
            "training.graph true (messages are part of no graph, and exchange.devices asks for them)");
}

TEST(IdleKeys, WhatCountsIsNotNamed) {
  EXPECT_EQ(idle_keys(config_of({"layer.balance_loss=batch", "layer.balance_loss_coeff=0.5", "layer.router_bias=true",
                                 "layer.router_bias_rate=0.5", "layer.groups=4", "layer.groups_kept=2",
                                 "layer.norm_topk_prob=true", "layer.gate=shared", "training.schedule=cosine",
                                 "exchange.chunks=2", "training.final_learning_rate=0.5", "training.decay=matrices",
                                 "data.train=x.jsonl", "data.fields=['a']"}),
                      1),
            "");
  EXPECT_EQ(idle_keys(config_of({"data.end_token=10", "data.documents=separate", "data.train=x.txt"}), 1), "");
  EXPECT_EQ(idle_keys(config_of({"data.train=x.txt", "data.valid=y.jsonl", "data.fields=['a']"}), 1), "");
}

}  // namespace
}  // namespace coe
