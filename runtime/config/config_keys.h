#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "runtime/config/allowed.h"
#include "runtime/config/config.h"

namespace coe {

/// One key of a section: the member that it sets, what that may be, and a sentence for a reader. Parsing, validation,
/// messages, `coe config` and --help all say what stands here.
template <class Section, class Member, class Allowed>
struct Key {
  static_assert(std::is_same_v<Member, bool> || !std::is_integral_v<Member> || std::is_same_v<Allowed, Whole>);
  static_assert(!std::is_floating_point_v<Member> || std::is_same_v<Allowed, Real>);

  constexpr Key(const char* key, Member Section::*sets, const Allowed& may_be, const char* sentence)
      : name(key), member(sets), allowed(may_be), meaning(sentence) {}
  constexpr Key(const char* key, Member Section::*sets, const char* sentence) : Key(key, sets, {}, sentence) {}

  std::string_view name;
  Member Section::*member;
  Allowed allowed;
  std::string_view meaning;
};
template <class Section, class Member>
Key(const char*, Member Section::*, const char*) -> Key<Section, Member, OfItsType>;

// Wide enough for any machine, and such that no product of them that the code forms leaves 64 bits.
inline constexpr std::int64_t kWidest = std::int64_t{1} << 20;
inline constexpr std::int64_t kDeepest = 1000;
inline constexpr std::int64_t kMostSteps = std::int64_t{1} << 40;

inline constexpr Whole kWidth{.low = 1, .high = kWidest};
inline constexpr Real kFrom0{};
inline constexpr Real kAbove0{.above_low = true};
inline constexpr Real kBelow1{.high = 1, .below_high = true};
inline constexpr Real kCapacityFactor{.high = static_cast<double>(kWidest), .six_decimals = true};

/// The keys of each section in the order in which they are written. What a model fills in itself (layer.hidden,
/// layer.norm_eps, layer.iteration_norm) is no key.
inline constexpr std::tuple kModelKeys = {
    Key{"vocab", &ModelConfig::vocab, kWidth, "size of the vocabulary; text is read as bytes, of which there are 256"},
    Key{"hidden", &ModelConfig::hidden, kWidth, "D, the width of the model"},
    Key{"layers", &ModelConfig::layers, Whole{1, kDeepest}, "blocks, each attention and a chain layer"},
    Key{"heads", &ModelConfig::heads, kWidth, "heads of attention; they divide hidden into even widths"},
    Key{"sequence", &ModelConfig::sequence, kWidth, "S, tokens of one sequence"},
    Key{"rope_theta", &ModelConfig::rope_theta, kAbove0, "base of the wave lengths of rotary positions"},
    Key{"norm_eps", &ModelConfig::norm_eps, kAbove0, "what RMSNorm adds to the mean square"},
    Key{"residual_stream", &ModelConfig::residual_stream,
        "prenorm: every sublayer adds to one stream; authors: as in the code of the Chain-of-Experts paper"},
};
inline constexpr std::tuple kLayerKeys = {
    Key{"expert_hidden", &LayerConfig::expert_hidden, kWidth, "F, the width of one expert"},
    Key{"experts", &LayerConfig::experts, kWidth, "N, routed experts of a layer; 1 makes it dense"},
    Key{"top_k", &LayerConfig::top_k, Whole{.low = 1, .bound = "layer.experts"},
        "K, experts of a token in one iteration; router relu aims at as many"},
    Key{"iterations", &LayerConfig::iterations, Whole{1, kDeepest},
        "C, passes of a token through the experts; 1 makes it a plain mixture"},
    Key{"router", &LayerConfig::router, "what turns logits into experts and weights; relu is ReMoE's"},
    Key{"gate", &LayerConfig::gate, "a router of its own for each iteration, or one for all"},
    Key{"residual", &LayerConfig::residual,
        "a token's x is added after each iteration (inner), once after the last (outer), or not"},
    Key{"shared_experts", &LayerConfig::shared_experts, Whole{0, kDeepest},
        "one expert for all tokens, of this many times expert_hidden; 0: none"},
    Key{"router_noise", &LayerConfig::router_noise, "adds normal noise of a learned width to the logits in training"},
    Key{"router_jitter", &LayerConfig::router_jitter, kBelow1,
        "e: in training the gate sees x times a random number from 1 - e to 1 + e"},
    Key{"router_bias", &LayerConfig::router_bias,
        "chooses by score + bias and weighs by score; the bias moves towards even load"},
    Key{"router_bias_rate", &LayerConfig::router_bias_rate, kFrom0,
        "what router_bias moves by after each step; annealed as the learning rate is"},
    Key{"groups", &LayerConfig::groups, Whole{.low = 1, .bound = "layer.experts"},
        "groups of equally many neighbouring experts; divides experts"},
    Key{"groups_kept", &LayerConfig::groups_kept, Whole{.low = 1, .bound = "layer.groups"},
        "groups in which a token chooses: those with the largest sum of their two best scores"},
    Key{"norm_topk_prob", &LayerConfig::norm_topk_prob,
        "divides a token's weights by their sum, where top_k is above 1"},
    Key{"routed_scaling_factor", &LayerConfig::routed_scaling_factor, kAbove0,
        "multiplies a token's weights, after norm_topk_prob"},
    Key{"balance_loss", &LayerConfig::balance_loss,
        "a loss for uneven load, of each sequence or of all tokens of a micro-batch"},
    Key{"balance_loss_coeff", &LayerConfig::balance_loss_coeff, kFrom0, "factor of the balance loss"},
    Key{"z_loss_coeff", &LayerConfig::z_loss_coeff, kFrom0,
        "factor of the z-loss, the mean square of the logits' logsumexp"},
    Key{"l1_coeff", &LayerConfig::l1_coeff, Real{.high = static_cast<double>(kHighestL1)},
        "ReMoE's lambda before the first step; it then follows the number of experts chosen"},
    Key{"drop_policy", &LayerConfig::drop_policy,
        "which choices keep their place in a full expert: those of earlier tokens, or of larger scores; none: experts "
        "take all"},
    Key{"capacity_factor", &LayerConfig::capacity_factor, kCapacityFactor,
        "an expert takes this times tokens x top_k / experts; above 0 where drop_policy is not none, else 0"},
    Key{"capacity_scope", &LayerConfig::capacity_scope,
        "whose tokens capacity counts: all ranks' that share experts, or each rank's (results then depend on their "
        "number)"},
    Key{"reroute_rounds", &LayerConfig::reroute_rounds, Whole{.low = 0, .bound = "layer.experts"},
        "rounds in which dropped choices ask for their token's next best expert"},
    Key{"pad_to_capacity", &LayerConfig::pad_to_capacity,
        "experts always compute as many rows as they may take; those that lack are zeros"},
};
inline constexpr std::tuple kTrainingKeys = {
    Key{"steps", &TrainingConfig::steps, Whole{1, kMostSteps}, "optimiser steps of the run"},
    Key{"batch", &TrainingConfig::batch, kWidth, "sequences of one step, of all ranks together"},
    Key{"micro_batch", &TrainingConfig::micro_batch, Whole{.low = 0, .bound = "training.batch"},
        "sequences at once, of all ranks together; divides batch; 0: the whole batch"},
    Key{"seed", &TrainingConfig::seed, Whole{}, "seed of the weights, of the data's order and of all noise"},
    Key{"learning_rate", &TrainingConfig::learning_rate, kFrom0, "AdamW's learning rate after the warm-up"},
    Key{"warmup_steps", &TrainingConfig::warmup_steps, Whole{0, kMostSteps},
        "steps in which the learning rate rises to that in a line"},
    Key{"schedule", &TrainingConfig::schedule, "how the learning rate goes on after the warm-up"},
    Key{"final_learning_rate", &TrainingConfig::final_learning_rate, kFrom0,
        "learning rate with which schedule cosine ends"},
    Key{"beta1", &TrainingConfig::beta1, kBelow1, "AdamW's memory of the mean gradient"},
    Key{"beta2", &TrainingConfig::beta2, kBelow1, "AdamW's memory of the mean squared gradient"},
    Key{"adam_eps", &TrainingConfig::adam_eps, kAbove0, "what AdamW adds to the root of the mean square"},
    Key{"weight_decay", &TrainingConfig::weight_decay, kFrom0,
        "AdamW's decay of weights a step, before the learning rate multiplies it"},
    Key{"decay", &TrainingConfig::decay, "what decays: every weight, or none that is a vector, as norms are"},
    Key{"clip", &TrainingConfig::clip, kFrom0,
        "largest norm of all gradients together, to which larger ones are scaled; 0: any"},
    Key{"non_finite", &TrainingConfig::non_finite,
        "a loss or gradient that is not finite ends the run (stop), or its step is left out (skip)"},
    Key{"recompute", &TrainingConfig::recompute,
        "what the backward computes again instead of keeping it: nothing, of each layer the attention, or all of it"},
    Key{"device", &TrainingConfig::device, "where the model is trained: on the host, or on a GPU that all ranks share"},
    Key{"dtype", &TrainingConfig::dtype,
        "numbers of activations and products; bf16 on cuda alone, with fp32 sums, router scores, losses and weights"},
    Key{"graph", &TrainingConfig::graph,
        "forward and backward of a rank that is alone on a GPU as one CUDA graph; their parts are then not timed"},
    Key{"shard_optimiser", &TrainingConfig::shard_optimiser,
        "of weights that several ranks hold, each keeps the optimiser's state of one piece; bits stay the same"},
};
inline constexpr std::tuple kDataKeys = {
    Key{"train", &DataConfig::train, "file to train on; empty: built-in maths problems"},
    Key{"valid", &DataConfig::valid, "file to validate on; empty: the last twentieth of train"},
    Key{"format", &DataConfig::format,
        "auto: .jsonl is JSONL, .bin tokens of 16 bits, any other text; tokens32 has 32 bits"},
    Key{"fields", &DataConfig::fields, NotEmpty{},
        "strings of each JSONL row that are read, joined by newlines in this order"},
    Key{"loss_fields", &DataConfig::loss_fields,
        "those of fields whose tokens are labels, on which the loss is taken; empty: all"},
    Key{"documents", &DataConfig::documents,
        "packed: a window is one text; separate: attention and positions begin anew at each document"},
    Key{"end_token", &DataConfig::end_token, Whole{.low = -1, .bound = "model.vocab", .below_bound = true},
        "token that ends a document of text (a byte) or of tokens; -1: none does"},
};
inline constexpr std::tuple kValidationKeys = {
    Key{"every", &ValidationConfig::every, Whole{0, kMostSteps},
        "steps from one validation to the next; 0: only before the first and after the last"},
    Key{"sequences", &ValidationConfig::sequences, Whole{1, kMostSteps},
        "sequences that a validation judges, of all ranks together"},
    Key{"capacity_factor", &ValidationConfig::capacity_factor, kCapacityFactor,
        "of layers where nothing is trained (validation, eval, generate); 0: no choice is dropped there"},
};
inline constexpr std::tuple kDistributedKeys = {
    Key{"expert_parallel", &DistributedConfig::expert_parallel, Whole{0, kWidest},
        "ranks that share one set of experts; divides the number of ranks; 0: all"},
    Key{"deadline_seconds", &DistributedConfig::deadline_seconds, Real{.low = 0.001, .high = 1e6},
        "seconds after which a wait for another rank ends the run and names that rank"},
    Key{"disk_deadline_seconds", &DistributedConfig::disk_deadline_seconds, Real{.low = 0.001, .high = 1e6},
        "the same for a rank that works on a disk, without a sign that it goes on"},
    Key{"threads", &DistributedConfig::threads, Whole{1, kMostThreads},
        "threads of each rank for its experts, each on a core of its own"},
};
inline constexpr std::tuple kExchangeKeys = {
    Key{"order", &ExchangeConfig::order,
        "how results add up: exact, the same bits on any ranks; or on each rank first, fewer bytes and within 1e-5"},
    Key{"chunks", &ExchangeConfig::chunks, Whole{1, kMostChunks},
        "passes that a rank's sequences are dealt out to, so that one's exchange goes on under another's experts"},
    Key{"devices", &ExchangeConfig::devices,
        "how GPUs reach one another: by mapped memory, by NCCL, or by way of the hosts; auto: the first that can be "
        "had"},
    Key{"row_slack", &ExchangeConfig::row_slack, kFrom0,
        "room for rows of GPUs that see one another's memory, in even shares; a step that needs more is done again"},
    Key{"sizes", &ExchangeConfig::sizes,
        "of messages between GPUs: host, exact ones that the host waits to know; or padded to what capacity allows"},
};
inline constexpr std::tuple kOutputKeys = {
    Key{"directory", &OutputConfig::directory, NotEmpty{}, "folder of the run: its config, metrics and checkpoints"},
    Key{"checkpoint_every", &OutputConfig::checkpoint_every, Whole{0, kMostSteps},
        "steps from one checkpoint to the next; 0: only after the last"},
    Key{"checkpoints_kept", &OutputConfig::checkpoints_kept, Whole{2, kWidest},
        "checkpoints that stay; two at least, as the newest may be damaged"},
};

/// Calls visit(section name, key, member) for every key of a section.
template <class Section, class Visit, class... Keys>
void for_each_key(std::string_view name, Section& section, const std::tuple<Keys...>& keys, Visit&& visit) {
  std::apply([&](const auto&... key) { (visit(name, key, section.*key.member), ...); }, keys);
}

/// The same for every key of a Config, const or not.
template <class AnyConfig, class Visit>
void for_each_key(AnyConfig& config, Visit&& visit) {
  for_each_key("model", config.model, kModelKeys, visit);
  for_each_key("layer", config.model.layer, kLayerKeys, visit);
  for_each_key("training", config.training, kTrainingKeys, visit);
  for_each_key("data", config.data, kDataKeys, visit);
  for_each_key("validation", config.validation, kValidationKeys, visit);
  for_each_key("distributed", config.distributed, kDistributedKeys, visit);
  for_each_key("exchange", config.exchange, kExchangeKeys, visit);
  for_each_key("output", config.output, kOutputKeys, visit);
}

}  // namespace coe
