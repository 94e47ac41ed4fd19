#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "kernels/memory/device.h"
#include "kernels/memory/tensor.h"

namespace coe {

enum class RouterKind { kSoftmaxTopk, kSigmoidTopk, kRelu };  ///< "softmax_topk", "sigmoid_topk", "relu"
enum class GateSharing { kIndependent, kShared };             ///< "independent", "shared"
enum class Residual { kInner, kOuter, kNone };                ///< "inner", "outer", "none"
enum class ResidualStream { kAuthors, kPrenorm };             ///< "authors", "prenorm"
enum class BalanceLoss { kNone, kSequence, kBatch };          ///< "none", "sequence", "batch"
enum class DropPolicy { kNone, kPosition, kProbability };     ///< "none", "position", "probability"
enum class CapacityScope { kGlobal, kRank };                  ///< "global", "rank"
enum class Schedule { kConstant, kCosine };                   ///< "constant", "cosine"; after the warm-up
enum class ExchangeOrder { kExact, kPartialSums };            ///< "exact", "partial-sums"
enum class DeviceReach { kAuto, kMapped, kNccl, kHost };      ///< "auto", "mapped", "nccl", "host"
enum class MessageSizes { kHost, kPadded };                   ///< "host", "padded"
enum class Decay { kAll, kMatrices };                         ///< "all", "matrices"
enum class OnNonFinite { kStop, kSkip };                      ///< "stop", "skip"
enum class Recompute { kNone, kAttention, kLayer };           ///< "none", "attention", "layer"
enum class DataFormat {
  kAuto,
  kMaths,
  kText,
  kJsonl,
  kTokens,
  kTokens32
};  ///< "auto" (by suffix), "maths", "text", "jsonl", "tokens" (16 bits), "tokens32"
enum class Documents { kPacked, kSeparate };  ///< "packed", "separate"

inline constexpr float kHighestL1 = 1e4F;  ///< that ReMoE's lambda can be

/// One chain layer: CoE-C(K/N), top-k MoE (C = 1), dense (N = 1), ReMoE (router relu). Section [layer].
struct LayerConfig {
  std::int64_t hidden = 0;         ///< D; a model copies its own here
  std::int64_t expert_hidden = 0;  ///< F
  std::int64_t experts = 0;        ///< N, routed
  std::int64_t top_k = 0;          ///< K per iteration; for relu the number of experts per token aimed at
  std::int64_t iterations = 1;     ///< C
  RouterKind router = RouterKind::kSoftmaxTopk;
  GateSharing gate = GateSharing::kIndependent;
  Residual residual = Residual::kInner;
  bool iteration_norm = false;  ///< RMSNorm of x_{t-1} before gate and experts; a prenorm model sets it
  float norm_eps = 1e-6F;
  std::int64_t shared_experts = 0;     ///< one SwiGLU of this many times F
  bool router_noise = false;           ///< noisy top-k: learned normal noise on the logits, training only
  float router_jitter = 0.0F;          ///< eps: the gate sees x * U(1 - eps, 1 + eps), training only
  bool router_bias = false;            ///< choose by score + bias, weigh by score
  float router_bias_rate = 0.001F;     ///< what the bias moves by after each step; annealed as the learning rate is
  std::int64_t groups = 1;             ///< of equally many neighbouring experts
  std::int64_t groups_kept = 1;        ///< in which a token chooses: those with the largest sum of their two best
  bool norm_topk_prob = false;         ///< weights of more than one expert are divided by their sum
  float routed_scaling_factor = 1.0F;  ///< which is then multiplied by this
  BalanceLoss balance_loss = BalanceLoss::kNone;
  float balance_loss_coeff = 0.0F;
  float z_loss_coeff = 0.0F;
  float l1_coeff = 1e-8F;  ///< ReMoE's lambda before the first step, at most 1e4
  DropPolicy drop_policy = DropPolicy::kNone;
  double capacity_factor = 0.0;                           ///< needed by a drop policy; at most six decimal places
  CapacityScope capacity_scope = CapacityScope::kGlobal;  ///< whose tokens and order: the expert-parallel group's, or a
                                                          ///< rank's own (then results depend on the number of ranks)
  std::int64_t reroute_rounds = 0;  ///< in which dropped choices ask for their token's next best expert
  bool pad_to_capacity = false;     ///< experts always compute as many rows as they may take; the rest is zeros

  /// With one expert a token, a weight over their sum would be 1 whatever the router says.
  bool normalises_weights() const { return norm_topk_prob && top_k > 1; }
  bool operator==(const LayerConfig&) const = default;
};

/// A decoder. Section [model].
struct ModelConfig {
  std::int64_t vocab = 256;
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t sequence = 0;  ///< S, tokens of one sequence
  float rope_theta = 10000.0F;
  float norm_eps = 1e-6F;
  ResidualStream residual_stream = ResidualStream::kPrenorm;
  LayerConfig layer;

  bool operator==(const ModelConfig&) const = default;
};

/// What products read and passes hand on; sums, router scores, losses and the weights that are trained are fp32.
enum class Precision { kF32, kBF16 };
inline DType dtype_of(Precision precision) { return precision == Precision::kF32 ? DType::kF32 : DType::kBF16; }

/// Section [training].
struct TrainingConfig {
  std::int64_t steps = 0;
  std::int64_t batch = 0;        ///< sequences of one optimiser step, over all ranks
  std::int64_t micro_batch = 0;  ///< sequences at once, over all ranks; 0: the whole batch
  std::uint64_t seed = 1;
  float learning_rate = 1e-3F;
  std::int64_t warmup_steps = 0;
  Schedule schedule = Schedule::kConstant;
  float final_learning_rate = 0.0F;  ///< where cosine ends
  float beta1 = 0.9F, beta2 = 0.95F, adam_eps = 1e-8F, weight_decay = 0.01F;
  Decay decay = Decay::kAll;                    ///< what decays: every weight, or none that is a vector, as norms are
  float clip = 1.0F;                            ///< of the global gradient norm; 0: none
  OnNonFinite non_finite = OnNonFinite::kStop;  ///< what to do about a step whose loss or gradient is not finite
  Recompute recompute = Recompute::kNone;       ///< what of each layer the backward computes anew instead of keeping it
  Device::Kind device = Device::Kind::kCpu;
  Precision dtype = Precision::kF32;
  bool graph = false;            ///< a micro-batch's forward and backward are one CUDA graph
  bool shard_optimiser = false;  ///< each rank keeps the optimiser's state of its piece of weights that several hold

  /// The micro-batch, or the batch where none is asked for.
  std::int64_t sequences_at_once() const { return micro_batch == 0 ? batch : micro_batch; }
  bool operator==(const TrainingConfig&) const = default;
};

/// Section [data].
struct DataConfig {
  std::filesystem::path train, valid;  ///< empty: the built-in maths problems; --data and --valid set them
  DataFormat format = DataFormat::kAuto;
  std::vector<std::string> fields = {"question", "answer"};  ///< JSONL: joined by a newline, in this order
  std::vector<std::string> loss_fields;      ///< those of `fields` whose tokens count as labels; none named: all
  Documents documents = Documents::kPacked;  ///< of one window: one text, or each with attention and positions of its
                                             ///< own, its first token no label
  std::int64_t end_token = -1;               ///< ends a document of text (a byte) or tokens; -1: none does

  bool operator==(const DataConfig&) const = default;
};

/// Section [validation].
struct ValidationConfig {
  std::int64_t every = 100;     ///< steps; 0: only before the first and after the last
  std::int64_t sequences = 64;  ///< how many, over all ranks
  double capacity_factor = 0;   ///< where nothing is trained (validation, eval, generate): 0 drops no choice; else the
                                ///< layer's drop policy with this in the place of its factor

  bool operator==(const ValidationConfig&) const = default;
};

inline constexpr std::int64_t kMostThreads = 1024;

/// Section [distributed].
struct DistributedConfig {
  std::int64_t expert_parallel = 0;      ///< ranks that share one set of experts; 0: all; divides the number of ranks
  double deadline_seconds = 60.0;        ///< of a wait for other ranks
  double disk_deadline_seconds = 600.0;  ///< of a wait for a rank at work on a disk: without a sign of it
  std::int64_t threads = 1;              ///< of each rank, for its experts; --threads sets it

  std::chrono::milliseconds deadline() const;
  std::chrono::milliseconds disk_deadline() const;
  bool operator==(const DistributedConfig&) const = default;
};

/// More chunks than that are messages too small to be worth their number.
inline constexpr std::int64_t kMostChunks = 64;

/// Section [exchange].
struct ExchangeConfig {
  ExchangeOrder order = ExchangeOrder::kExact;  ///< how results are added up: in ascending expert id, the same bits on
                                                ///< any ranks; or first on each rank, fewer bytes and within 1e-5
  std::int64_t chunks = 1;  ///< of a rank's sequences, of which one's exchange goes on under another's experts
  DeviceReach devices = DeviceReach::kAuto;  ///< how GPUs of ranks reach one another: mapped memory, NCCL, the hosts
  double row_slack = 2;  ///< room for rows between GPUs that see one another's memory, in even shares; 0: for all
  MessageSizes sizes = MessageSizes::kHost;  ///< of messages between GPUs: the exact ones, for which the host waits;
                                             ///< or padded to what capacity lets there be

  bool operator==(const ExchangeConfig&) const = default;
};

/// Section [output].
struct OutputConfig {
  std::filesystem::path directory = "runs/train";  ///< --out sets it
  std::int64_t checkpoint_every = 0;               ///< steps; 0: only after the last
  std::int64_t checkpoints_kept = 2;               ///< at least 2: the newest may be damaged

  bool operator==(const OutputConfig&) const = default;
};

struct Config {
  ModelConfig model;
  TrainingConfig training;
  DataConfig data;
  ValidationConfig validation;
  DistributedConfig distributed;
  ExchangeConfig exchange;
  OutputConfig output;

  bool operator==(const Config&) const = default;
};

/// Reads a TOML file, then applies `settings` ("training.steps=10", the value in TOML; a bare word is taken as a
/// string) and validates. Throws kBadInput in one line: file:line, what was found, what is allowed; for an unknown key
/// the nearest known.
Config read_config(const std::filesystem::path& file, std::span<const std::string> settings = {});
/// The same from TOML text; `origin` stands for the file name in messages.
Config parse_config(const std::string& text, const std::string& origin, std::span<const std::string> settings = {});
/// One key with its value as a file would say it: {"layer.top_k", "4"}.
struct ConfigEntry {
  std::string key, value;
  bool operator==(const ConfigEntry&) const = default;
};
/// All of them, in a fixed order.
std::vector<ConfigEntry> entries_of(const Config& config);
/// TOML that parse_config reads back to an equal Config: what a run directory keeps.
std::string to_toml(const Config& config);
/// Throws kBadInput where numbers do not fit together (K > N, N = 0, ...).
void validate(const LayerConfig& layer);
void validate(const Config& config);
/// Throws kBadInput where one of `ranks` could hold more choices or rows in one forward than can be indexed.
void check_share(const Config& config, std::int64_t ranks);

/// "CoE-2(4/64)", "MoE(8/64)", "dense", "ReMoE(8/64)", "ReMoE-CoE-2(4/64)".
std::string model_name(const LayerConfig& layer);

}  // namespace coe
