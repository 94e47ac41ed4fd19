#include "launcher/verify/case_file.h"

#include <array>
#include <boost/json.hpp>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "kernels/memory/error.h"
#include "runtime/files/json_text.h"

namespace coe {
namespace {

namespace json = boost::json;

/// A JSON object of options of which every one must be asked for.
class Options {
 public:
  Options(const std::string& where, const std::string& text) : where_(where) {
    json::error_code error;
    const json::value value = json::parse(text, error);
    check(!error && value.is_object(), where, ": not a JSON object");
    object_ = value.as_object();
  }

  std::int64_t integer(const char* key) {
    const json::value& value = at(key);
    check(value.is_int64(), where_, ": ", key, " is ", json_text(value), ", an integer is needed");
    return value.as_int64();
  }
  double number(const char* key) { return number(key, at(key)); }
  float real(const char* key) { return static_cast<float>(number(key)); }
  bool boolean(const char* key) {
    const json::value& value = at(key);
    check(value.is_bool(), where_, ": ", key, " is ", json_text(value), ", true or false is needed");
    return value.as_bool();
  }
  std::pair<float, float> pair(const char* key) {
    const json::value& value = at(key);
    check(value.is_array() && value.as_array().size() == 2, where_, ": ", key, " is ", json_text(value),
          ", two numbers are needed");
    return {static_cast<float>(number(key, value.as_array()[0])), static_cast<float>(number(key, value.as_array()[1]))};
  }
  template <class Enum, std::size_t size>
  Enum word(const char* key, const std::array<std::pair<std::string_view, Enum>, size>& allowed) {
    const json::value& value = at(key);
    std::string names;
    for (const auto& [name, meaning] : allowed) {
      if (value.is_string() && value.as_string() == name) return meaning;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    fail(ErrorCode::kBadInput, where_, ": ", key, " is ", json_text(value), ", allowed are ", names);
  }
  void finish() const {
    for (const auto& [key, value] : object_) {
      check(asked_.contains(key), where_, ": unknown option ", std::string_view(key));
    }
  }

 private:
  const json::value& at(const char* key) {
    asked_.insert(key);
    const json::value* value = object_.if_contains(key);
    check(value != nullptr, where_, ": ", key, " is missing");
    return *value;
  }
  double number(const char* key, const json::value& value) const {
    check(value.is_number(), where_, ": ", key, " is ", json_text(value), ", a number is needed");
    return value.to_number<double>();
  }

  std::string where_;
  json::object object_;
  std::set<std::string, std::less<>> asked_;
};

LayerConfig read_layer(Options& options) {
  using namespace std::string_view_literals;
  LayerConfig layer;
  layer.hidden = options.integer("hidden");
  layer.expert_hidden = options.integer("expert_hidden");
  layer.experts = options.integer("num_experts");
  layer.iterations = options.integer("iterations");
  layer.router = options.word("router", std::array{std::pair{"softmax_topk"sv, RouterKind::kSoftmaxTopk},
                                                   std::pair{"sigmoid_topk"sv, RouterKind::kSigmoidTopk},
                                                   std::pair{"relu"sv, RouterKind::kRelu}});
  const std::int64_t top_k = options.integer("top_k"), aimed_at = options.integer("target_experts_per_token");
  layer.top_k = layer.router == RouterKind::kRelu ? aimed_at : top_k;
  layer.gate = options.word("gate", std::array{std::pair{"independent"sv, GateSharing::kIndependent},
                                               std::pair{"shared"sv, GateSharing::kShared}});
  layer.residual = options.word(
      "residual", std::array{std::pair{"inner"sv, Residual::kInner}, std::pair{"outer"sv, Residual::kOuter},
                             std::pair{"none"sv, Residual::kNone}});
  layer.iteration_norm = options.boolean("iteration_norm");
  layer.shared_experts = options.integer("num_shared_experts");
  layer.norm_topk_prob = options.boolean("norm_topk_prob");
  layer.routed_scaling_factor = options.real("routed_scaling_factor");
  layer.balance_loss = options.word(
      "aux_loss", std::array{std::pair{"none"sv, BalanceLoss::kNone}, std::pair{"sequence"sv, BalanceLoss::kSequence},
                             std::pair{"batch"sv, BalanceLoss::kBatch}});
  layer.balance_loss_coeff = options.real("aux_loss_coeff");
  layer.z_loss_coeff = options.real("z_loss_coeff");
  layer.l1_coeff = options.real("l1_coeff");
  layer.capacity_factor = options.number("capacity_factor");
  layer.drop_policy = options.word(
      "drop_policy", std::array{std::pair{"none"sv, DropPolicy::kNone}, std::pair{"position"sv, DropPolicy::kPosition},
                                std::pair{"probability"sv, DropPolicy::kProbability}});
  layer.router_bias = options.boolean("router_bias");
  layer.groups = options.integer("num_groups");
  layer.groups_kept = options.integer("groups_kept");
  layer.reroute_rounds = options.integer("reroute_rounds");
  return layer;
}

ModelConfig read_model(Options& options, const LayerConfig& layer) {
  using namespace std::string_view_literals;
  ModelConfig model;
  model.layer = layer;
  model.hidden = layer.hidden;
  model.vocab = options.integer("vocab");
  model.layers = options.integer("layers");
  model.heads = options.integer("heads");
  model.sequence = options.integer("sequence");
  model.rope_theta = options.real("rope_theta");
  model.norm_eps = options.real("norm_eps");
  model.residual_stream = options.word("residual_stream", std::array{std::pair{"authors"sv, ResidualStream::kAuthors},
                                                                     std::pair{"prenorm"sv, ResidualStream::kPrenorm}});
  return model;
}

TrainingConfig read_training(Options& options) {
  TrainingConfig training;
  training.learning_rate = options.real("lr");
  std::tie(training.beta1, training.beta2) = options.pair("betas");
  training.adam_eps = options.real("adam_eps");
  training.weight_decay = options.real("weight_decay");
  training.clip = options.real("clip");
  training.steps = options.integer("steps");
  return training;
}

std::string metadata(const SafetensorsFile& file, const std::string& name, const std::string& key) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(), name, ": metadata has no ", key, "; a case has format and config");
  return found->second;
}

}  // namespace

CaseFile::CaseFile(const std::filesystem::path& path) : tensors_(path), name_(path.string()) {
  const std::string format = metadata(tensors_, name_, "format");
  check(format == "coe-layer-case-1" || format == "coe-model-case-1", name_, ": format is ", format,
        ", allowed are coe-layer-case-1, coe-model-case-1");
  is_model_ = format == "coe-model-case-1";
  Options options(name_ + ": config", metadata(tensors_, name_, "config"));
  layer_ = read_layer(options);
  length_ = options.integer("seq_len");
  options.finish();
  check(length_ >= 1, name_, ": seq_len is ", length_, ", at least 1 is needed");
  validate(layer_);
  if (!is_model_) return;
  Options model_options(name_ + ": model", metadata(tensors_, name_, "model"));
  model_ = read_model(model_options, layer_);
  training_ = read_training(model_options);
  model_options.finish();
  check(model_.sequence == length_, name_, ": sequence is ", model_.sequence, ", seq_len is ", length_);
}

Tensor CaseFile::tensor(const std::string& name, DType dtype, Shape shape) const {
  check(tensors_.contains(name), name_, ": no tensor ", name);
  const Tensor found = tensors_.tensor(name);
  check(found.dtype() == dtype && found.shape() == shape, name_, ": ", name, " is ", name_of(found.dtype()), " ",
        found.shape().text(), ", must be ", name_of(dtype), " ", shape.text());
  return found;
}

void CaseFile::load_weights(Parameters& parameters) const {
  for (const Parameter& parameter : parameters.all()) {
    const Tensor from = tensor(parameter.name, DType::kF32, parameter.value.shape());
    std::memcpy(parameter.value.raw(), from.raw(), from.bytes());
  }
}

}  // namespace coe
