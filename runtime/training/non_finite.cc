#include "runtime/training/non_finite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include "comm/collectives.h"
#include "runtime/model/model_parameters.h"
#include "runtime/ranks/read_back.h"

namespace coe {
namespace {

bool is_finite(float x) { return std::isfinite(x); }

/// Tensors of a model's device as the host can look at them.
class Looked {
 public:
  Looked(const Group& group, const Stream& stream) : group_(group), stream_(&stream) {}

  /// fp32, the same elements; good until the next call.
  std::span<const float> floats(const Tensor& values) {
    if (values.on_host()) return values.span<float>();
    if (values.dtype() == DType::kF32) {
      numbers_ = read_back<float>(values, group_, *stream_, kPhase);
    } else {
      const std::vector<Bf16> rounded = read_back<Bf16>(values, group_, *stream_, kPhase);
      numbers_.resize(rounded.size());
      std::ranges::transform(rounded, numbers_.begin(), to_float);
    }
    return numbers_;
  }
  std::int32_t number(const Tensor& one) const {
    return read_back<std::int32_t>(one, group_, *stream_, kPhase).front();
  }

 private:
  static constexpr Phase kPhase{"looking for what is not finite"};
  Group group_;
  const Stream* stream_;
  std::vector<float> numbers_;
};

/// Looks at one tensor after another and keeps the first with a number that is not finite.
class Search {
 public:
  Search(std::int64_t first_token, const Group& group, const Stream& stream)
      : first_token_(first_token), looked_(group, stream) {}

  /// Rows are this rank's tokens.
  void look_at_tokens(const std::string& what, const Tensor& values) {
    const std::int64_t place = places_++;
    if (found_ || values.elements() == 0) return;
    const auto numbers = looked_.floats(values);
    const auto bad = std::ranges::find_if_not(numbers, is_finite);
    if (bad == numbers.end()) return;
    const std::int64_t width = values.elements() / values.extent(0);
    found_ = {place, what, first_token_ + begin_ + (bad - numbers.begin()) / width};
  }
  void look_at(const std::string& what, const Tensor& values) {
    const std::int64_t place = places_++;
    if (!found_ && values.elements() > 0 && !std::ranges::all_of(looked_.floats(values), is_finite))
      found_ = {place, what, -1};
  }
  /// The first row that a gate hid, int32 [1], or kNoneLost.
  void look_at_lost(const std::string& what, const Tensor& lost) {
    const std::int64_t place = places_++;
    if (found_) return;
    const std::int32_t row = looked_.number(lost);
    if (row != cuda::kNoneLost) found_ = {place, what, first_token_ + begin_ + row};
  }
  /// From now on rows are those of this rank's tokens from `token` on.
  void begin_at(std::int64_t token) { begin_ = token; }
  const std::optional<NonFinite>& found() const { return found_; }

 private:
  std::int64_t first_token_, begin_ = 0, places_ = 0;
  Looked looked_;
  std::optional<NonFinite> found_;
};

/// `after` is what the iteration put out.
void look_at_iteration(const std::string& where, const IterationSaved& saved, const Tensor& after, Search& search) {
  search.look_at_tokens(where + "input", saved.x);
  search.look_at_tokens(where + "normed input", saved.normed);
  search.look_at_lost(where + "gate logits", saved.routed.lost);
  search.look_at(where + "gate_proj and up_proj of an expert", saved.experts.ab);
  search.look_at_tokens(where + "gate_proj and up_proj of the shared experts", saved.shared_ab);
  search.look_at_tokens(where + "expert output", after);
}

void look_at_layer(std::size_t number, const Model::LayerSaved& saved, const Tensor& after, Search& search) {
  const std::string layer = "layer " + std::to_string(number);
  const AttentionSaved& attention = saved.attention;
  search.look_at_tokens(layer + ": input", attention.h);
  search.look_at_tokens(layer + ": normed input of attention", attention.normed);
  search.look_at_tokens(layer + ": query", attention.q);
  search.look_at_tokens(layer + ": key", attention.k);
  search.look_at_tokens(layer + ": value", attention.v);
  search.look_at_tokens(layer + ": attention output", saved.h);
  for (const ChunkSaved& chunk : saved.chain.chunks) {
    search.begin_at(chunk.tokens.first);
    const auto& iterations = chunk.iterations;
    for (std::size_t t = 0; t < iterations.size(); ++t) {
      const bool last = t + 1 == iterations.size();
      const Tensor next = last ? after.rows(chunk.tokens.first, chunk.tokens.count) : iterations[t + 1].x;
      look_at_iteration(layer + ", iteration " + std::to_string(t) + ": ", iterations[t], next, search);
    }
  }
  search.begin_at(0);
}

std::vector<ParameterSpec> all_specs(const ModelConfig& model) { return model_specs(model, {0, model.layer.experts}); }

/// The first of this rank's parameters in the order of `specs`, those of all ranks.
std::optional<NonFinite> first_parameter(const Parameters& parameters, std::span<const ParameterSpec> specs,
                                         const std::string& noun, Tensor Parameter::*member) {
  std::int64_t place = 0;
  for (const ParameterSpec& spec : specs) {
    ++place;
    if (!parameters.contains(spec.name)) continue;
    const Tensor& values = parameters.at(spec.name).*member;
    if (values.elements() > 0 && !std::ranges::all_of(values.span<float>(), is_finite))
      return NonFinite{place, noun + spec.name, -1};
  }
  return std::nullopt;
}

/// What a rank tells the others; longer names are cut.
struct Told {
  std::int64_t place = -1, token = -1;
  std::array<char, 112> what{};
};

std::string in_words(const Told& told, int rank) {
  const std::string token = told.token < 0 ? "" : ", first at token " + std::to_string(told.token);
  return std::string(told.what.data()) + " is not finite (rank " + std::to_string(rank) + token + ")";
}

}  // namespace

std::optional<NonFinite> non_finite_weight(const ModelConfig& model, const Parameters& parameters) {
  return first_parameter(parameters, all_specs(model), "weight ", &Parameter::value);
}

std::optional<NonFinite> non_finite_gradient(const ModelConfig& model, const Parameters& parameters) {
  std::vector<ParameterSpec> backwards = all_specs(model);
  std::ranges::reverse(backwards);
  return first_parameter(parameters, backwards, "gradient of ", &Parameter::gradient);
}

std::optional<NonFinite> non_finite_activation(const Model& model, const Tensor& hidden, std::int64_t first_token,
                                               const Group& group) {
  Search search(first_token, group, model.stream());
  const auto layers = model.saved();
  for (std::size_t l = 0; l < layers.size(); ++l)
    look_at_layer(l, layers[l], l + 1 < layers.size() ? layers[l + 1].attention.h : hidden, search);
  return search.found();
}

std::string first_of_all(const Group& world, const std::optional<NonFinite>& mine) {
  Told told;
  if (mine) {
    told.place = mine->place;
    told.token = mine->token;
    mine->what.copy(told.what.data(), told.what.size() - 1);
  }
  std::vector<Told> all(static_cast<std::size_t>(world.size()));
  all_gather<Told>(world, {&told, 1}, all, {"looking for what is not finite"});
  const auto order = [](const Told& one) { return static_cast<std::uint64_t>(one.place); };  // -1, nothing, is last
  const auto first = std::ranges::min_element(all, {}, order);
  return first->place < 0 ? "" : in_words(*first, static_cast<int>(first - all.begin()));
}

}  // namespace coe
