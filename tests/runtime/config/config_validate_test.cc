#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "runtime/config/config.h"
#include "tests/runtime/config/small_config.h"

namespace coe {
namespace {

/// Settings on top of a valid configuration, and what the refusal must hold, its key first.
struct Refused {
  std::vector<std::string> settings;
  std::string message;
};

void PrintTo(const Refused& refused, std::ostream* out) { *out << refused.message; }

class ConfigRefusal : public testing::TestWithParam<Refused> {};

TEST_P(ConfigRefusal, RefusesNumbersThatDoNotFit) {
  try {
    parse_config(kSmallConfig, "x.toml", GetParam().settings);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr(": " + GetParam().message));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Layer, ConfigRefusal,
    testing::Values(
        Refused{{"layer.experts=0"}, "layer.experts: 0, must be a whole number from 1"},
        Refused{{"layer.top_k=0"}, "layer.top_k: 0, must be a whole number from 1"},
        Refused{{"layer.top_k=6"}, "layer.top_k: 6, must be a whole number from 1 to 5 (layer.experts)"},
        Refused{{"layer.expert_hidden=-1"}, "layer.expert_hidden: -1, must be a whole number from 1"},
        Refused{{"layer.iterations=0"}, "layer.iterations: 0, must be a whole number from 1"},
        Refused{{"layer.shared_experts=-1"}, "layer.shared_experts: -1, must be a whole number from 0"},
        Refused{{"layer.routed_scaling_factor=0"}, "layer.routed_scaling_factor: 0, must be"},
        Refused{{"layer.balance_loss_coeff=-1"}, "layer.balance_loss_coeff: -1, must be"},
        Refused{{"layer.z_loss_coeff=inf"}, "layer.z_loss_coeff: inf, must be a finite number"},
        Refused{{"layer.l1_coeff=nan"}, "layer.l1_coeff: nan, must be a number"},
        Refused{{"layer.l1_coeff=1e300"}, "layer.l1_coeff: inf, must be a number"},
        Refused{{"layer.drop_policy=position"}, "layer.drop_policy: needs layer.capacity_factor above 0"},
        Refused{{"layer.capacity_factor=1.5"}, "layer.capacity_factor: 1.5 needs layer.drop_policy"},
        Refused{{"layer.drop_policy=position", "layer.capacity_factor=-1"},
                "layer.capacity_factor: -1, must be a number from 0 to 1048576"},
        Refused{{"layer.drop_policy=position", "layer.capacity_factor=1.0000001"},
                "layer.capacity_factor: 1.0000001, must be a number from 0 to 1048576 with at most six decimal places"},
        Refused{{"layer.drop_policy=position", "layer.capacity_factor=1e7"},
                "layer.capacity_factor: 10000000, must be a number from 0 to 1048576"},
        Refused{{"validation.capacity_factor=1.25"}, "validation.capacity_factor: 1.25 needs layer.drop_policy"},
        Refused{{"layer.drop_policy=position", "layer.capacity_factor=1", "validation.capacity_factor=-1"},
                "validation.capacity_factor: -1, must be a number from 0 to 1048576"},
        Refused{{"layer.l1_coeff=10001"}, "layer.l1_coeff: 10001, must be a number from 0 to 10000"},
        Refused{{"training.dtype=bf16"}, "training.dtype: \"bf16\" needs training.device \"cuda\""},
        Refused{{"training.device=cuda", "exchange.order=partial-sums"},
                "exchange.order: must be \"exact\" with training.device \"cuda\""},
        Refused{{"training.device=cuda", "exchange.sizes=padded"},
                "exchange.sizes: \"padded\" needs layer.drop_policy, whose capacity it is padded to"},
        Refused{{"training.device=cuda", "model.hidden=264", "model.heads=2"},
                "model.heads: 2 gives a head 132 numbers, at most 128 with training.device \"cuda\""},
        Refused{{"layer.reroute_rounds=1"}, "layer.reroute_rounds: 1 needs layer.drop_policy"},
        Refused{{"layer.reroute_rounds=-1"}, "layer.reroute_rounds: -1, must be a whole number from 0 to 5"},
        Refused{{"layer.capacity_scope=rank"}, "layer.capacity_scope: \"rank\" needs layer.drop_policy"},
        Refused{{"layer.pad_to_capacity=true"}, "layer.pad_to_capacity: needs layer.drop_policy"},
        Refused{{"layer.router_jitter=1"}, "layer.router_jitter: 1, must be a number from 0 to below 1"},
        Refused{{"layer.router_jitter=nan"}, "layer.router_jitter: nan, must be a number from 0 to below 1"},
        Refused{{"layer.router_bias_rate=-1"}, "layer.router_bias_rate: -1, must be"},
        Refused{{"exchange.chunks=0"}, "exchange.chunks: 0, must be a whole number from 1 to 64"},
        Refused{{"exchange.chunks=65"}, "exchange.chunks: 65, must be a whole number from 1 to 64"},
        Refused{{"layer.groups=0"}, "layer.groups: 0, must be a whole number from 1 to 5"},
        Refused{{"layer.groups=2"}, "layer.groups: 2 does not divide layer.experts 5"},
        Refused{{"layer.groups=5", "layer.groups_kept=6"}, "layer.groups_kept: 6, must be a whole number from 1 to 5"},
        Refused{{"layer.groups=5", "layer.groups_kept=1", "layer.top_k=2"},
                "layer.top_k: 2 is more than the 1 experts of layer.groups_kept 1"},
        Refused{{"layer.router=relu", "layer.router_noise=true"}, "layer.router_noise: must be false"},
        Refused{{"layer.router=relu", "layer.router_bias=true"}, "layer.router_bias: must be false"},
        Refused{{"layer.router=relu", "layer.groups=5", "layer.groups_kept=5"}, "layer.groups: 5, must be 1"},
        Refused{
            {"layer.router=relu", "layer.drop_policy=position", "layer.capacity_factor=1", "layer.reroute_rounds=1"},
            "layer.reroute_rounds: 1, must be 0 with router"},
        Refused{{"layer.router=relu", "layer.balance_loss=batch"}, "layer.balance_loss: router \"relu\""},
        Refused{{"layer.router=relu", "layer.norm_topk_prob=true"}, "layer.norm_topk_prob: must be false"},
        Refused{{"layer.router=relu", "layer.z_loss_coeff=1"}, "layer.z_loss_coeff: 1, must be 0"},
        Refused{{"layer.router=relu", "layer.routed_scaling_factor=2"}, "layer.routed_scaling_factor: 2, must be 1"}));

INSTANTIATE_TEST_SUITE_P(
    Model, ConfigRefusal,
    testing::Values(Refused{{"model.vocab=255"}, "model.vocab: 255, must be at least 256"},
                    Refused{{"model.vocab=0", "data.format=tokens"}, "model.vocab: 0, must be a whole number from 1"},
                    Refused{{"model.hidden=0"}, "model.hidden: 0, must be a whole number from 1"},
                    Refused{{"model.hidden=2000000"},
                            "model.hidden: 2000000, must be a whole number from 1 to 1048576"},
                    Refused{{"model.layers=1001"}, "model.layers: 1001, must be a whole number from 1 to 1000"},
                    Refused{{"model.heads=0"}, "model.heads: 0, must be a whole number from 1"},
                    Refused{{"model.heads=3"}, "model.heads: 3 does not divide model.hidden 8"},
                    Refused{{"model.heads=8"}, "model.heads: 8 gives a head 1 numbers, must be even"},
                    Refused{{"model.sequence=0"}, "model.sequence: 0, must be a whole number from 1"},
                    Refused{{"model.rope_theta=0"}, "model.rope_theta: 0, must be"},
                    Refused{{"model.norm_eps=0"}, "model.norm_eps: 0, must be"},
                    Refused{{"model.hidden=1048576", "layer.expert_hidden=1048576", "layer.experts=1048576"},
                            "layer.experts: the experts would have"}));

INSTANTIATE_TEST_SUITE_P(
    Training, ConfigRefusal,
    testing::Values(Refused{{"training.steps=-4"}, "training.steps: -4, must be a whole number from 1"},
                    Refused{{"training.batch=0"}, "training.batch: 0, must be a whole number from 1"},
                    Refused{{"training.micro_batch=-1"},
                            "training.micro_batch: -1, must be a whole number from 0 to 4"},
                    Refused{{"training.micro_batch=3"}, "training.micro_batch: 3 does not divide training.batch 4"},
                    Refused{{"training.micro_batch=5"}, "training.micro_batch: 5, must be a whole number from 0 to 4"},
                    Refused{{"training.learning_rate=-1"}, "training.learning_rate: -1, must be"},
                    Refused{{"training.final_learning_rate=nan"}, "training.final_learning_rate: nan, must be"},
                    Refused{{"training.warmup_steps=-1"}, "training.warmup_steps: -1, must be a whole number from 0"},
                    Refused{{"training.beta1=1"}, "training.beta1: 1, must be a number from 0 to below 1"},
                    Refused{{"training.beta2=nan"}, "training.beta2: nan, must be a number from 0 to below 1"},
                    Refused{{"training.adam_eps=0"}, "training.adam_eps: 0, must be"},
                    Refused{{"training.weight_decay=-1"}, "training.weight_decay: -1, must be"},
                    Refused{{"training.clip=-1"}, "training.clip: -1, must be"},
                    Refused{{"training.recompute=chain"}, "training.recompute: 'chain', must be \"none\", "}));

INSTANTIATE_TEST_SUITE_P(
    Rest, ConfigRefusal,
    testing::Values(
        Refused{{"data.fields=[]"}, "data.fields: [], must be a list of names in quotes, not empty"},
        Refused{{"data.format=maths", "data.train=x"}, "data.format: \"maths\" reads no file"},
        Refused{{"data.format=maths", "data.valid=x"}, "data.format: \"maths\" reads no file"},
        Refused{{"model.vocab=100", "data.train=x.bin", "data.valid=x.txt"}, "model.vocab: 100"},
        Refused{{"data.loss_fields=[\"reply\"]", "data.train=x.jsonl"},
                "data.loss_fields: \"reply\" is not one of data.fields"},
        Refused{{"data.end_token=256"},
                "data.end_token: 256, must be a whole number from -1 to below 256 (model.vocab)"},
        Refused{{"data.documents=apart"}, "data.documents: 'apart', must be"},
        Refused{{"validation.every=-1"}, "validation.every: -1, must be a whole number from 0"},
        Refused{{"validation.sequences=0"}, "validation.sequences: 0, must be a whole number from 1"},
        Refused{{"distributed.expert_parallel=-1"}, "distributed.expert_parallel: -1, must be a whole number from 0"},
        Refused{{"distributed.threads=0"}, "distributed.threads: 0, must be a whole number from 1 to 1024"},
        Refused{{"distributed.deadline_seconds=0"}, "distributed.deadline_seconds: 0, must be a number from 0.001"},
        Refused{{"distributed.deadline_seconds=nan"}, "distributed.deadline_seconds: nan, must be"},
        Refused{{"distributed.disk_deadline_seconds=0"}, "distributed.disk_deadline_seconds: 0, must be a number from"},
        Refused{{"output.directory=\"\""}, "output.directory: \"\", must be a path in quotes, not empty"},
        Refused{{"output.checkpoint_every=-1"}, "output.checkpoint_every: -1, must be a whole number from 0"},
        Refused{{"output.checkpoints_kept=1"}, "output.checkpoints_kept: 1, must be a whole number from 2"}));

TEST(ConfigValidate, TokensMayHaveAnyVocabulary) {
  const std::vector<std::string> wide = {"model.vocab=61", "data.format=tokens32"};
  EXPECT_NO_THROW(parse_config(kSmallConfig, "x.toml", wide));
  const std::vector<std::string> by_format = {"model.vocab=61", "data.format=tokens"};
  EXPECT_NO_THROW(parse_config(kSmallConfig, "x.toml", by_format));
  const std::vector<std::string> by_suffix = {"model.vocab=61", "data.train=a.bin", "data.valid=b.bin"};
  EXPECT_NO_THROW(parse_config(kSmallConfig, "x.toml", by_suffix));
}

/// What the share of a rank is refused for; empty where it is not.
std::string share_refusal(const std::vector<std::string>& settings, std::int64_t ranks) {
  try {
    check_share(parse_config(kSmallConfig, "x.toml", settings), ranks);
    return {};
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
}

// 512 ranks of 8,192 tokens, each of which may choose all of 1,024 experts: 2^32 choices, but 2^23 of a rank, and as
// many rows at its two experts.
TEST(ConfigValidate, WhatCountsIsWhatOneRankHolds) {
  const std::vector<std::string> remoe = {"model.sequence=8192", "training.batch=512", "layer.router=relu",
                                          "layer.experts=1024"};
  EXPECT_EQ(share_refusal(remoe, 512), "");
  EXPECT_EQ(share_refusal(remoe, 3), "");
  EXPECT_EQ(
      share_refusal(remoe, 2),
      "training.micro_batch: 512 sequences over 2 ranks give a rank up to 2147483648 choices, at most 2147483647");
  EXPECT_THAT(share_refusal(remoe, 1), testing::HasSubstr("up to 4294967296 choices"));
}

TEST(ConfigValidate, ARanksExpertsMustBeAbleToTakeTheRowsOfItsGroup) {
  // 2^25 tokens, of which a rank with all 64 experts may get each 64 times, one with 16 a quarter as often.
  const std::vector<std::string> top_k = {"model.sequence=8192", "training.batch=4096", "layer.experts=64",
                                          "layer.top_k=64"};
  EXPECT_EQ(share_refusal(top_k, 4), "");
  EXPECT_THAT(share_refusal(top_k, 1), testing::HasSubstr("up to 2147483648 choices"));
  EXPECT_EQ(share_refusal({"model.sequence=8192", "training.batch=8192", "layer.experts=64", "layer.top_k=64"}, 2),
            "training.micro_batch: 8192 sequences over 2 ranks give a rank up to 2147483648 choices, at most "
            "2147483647");
  std::vector<std::string> replicas = top_k;
  replicas.emplace_back("distributed.expert_parallel=1");
  EXPECT_EQ(share_refusal(replicas, 4), "") << "its group is smaller";
  // Of 2^27 tokens over 64 ranks each has 2^25 choices, but all of them may come to one rank's 16 experts.
  EXPECT_THAT(
      share_refusal({"model.sequence=8192", "training.batch=16384", "layer.experts=1024", "layer.top_k=16"}, 64),
      testing::HasSubstr("up to 2147483648 rows"));
}

TEST(ConfigValidate, PaddingIsCountedWithTheRows) {
  const std::vector<std::string> padded = {
      "model.sequence=8192",        "training.batch=8192",       "layer.experts=64",          "layer.top_k=1",
      "layer.drop_policy=position", "layer.capacity_factor=100", "layer.pad_to_capacity=true"};
  EXPECT_THAT(share_refusal(padded, 2), testing::HasSubstr("rows with padding"));
  EXPECT_EQ(share_refusal(padded, 64), "");
}

TEST(ConfigValidate, ALayerOfItsOwnNeedsItsWidth) {
  LayerConfig layer = parse_config(kSmallConfig, "x.toml").model.layer;
  EXPECT_NO_THROW(validate(layer));
  layer.hidden = 0;
  EXPECT_THROW(validate(layer), Error);
}

}  // namespace
}  // namespace coe
