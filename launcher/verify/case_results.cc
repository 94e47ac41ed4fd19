#include "launcher/verify/case_results.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "comm/collectives.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

/// Every rank's floats, in rank order.
std::vector<std::vector<float>> gather_floats(const RankGroups& groups, std::span<const float> mine) {
  std::vector<std::vector<float>> all;
  for (const auto& bytes : all_gather_bytes(groups.world(), std::as_bytes(mine), {"gathering results"})) {
    all.emplace_back(bytes.size() / sizeof(float));
    if (!bytes.empty()) std::memcpy(all.back().data(), bytes.data(), bytes.size());
  }
  return all;
}

double relative_error(const std::vector<float>& got, const Tensor& expected) {
  const bool flags = expected.dtype() == DType::kU8;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double wanted = flags ? expected.data<std::uint8_t>()[i] : expected.data<float>()[i];
    difference += (got[i] - wanted) * (got[i] - wanted);
    norm += wanted * wanted;
  }
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (!std::isfinite(difference) || (flags && difference > 0)) return kInfinite;
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

}  // namespace

void CaseResults::gather(const std::string& name, std::span<const float> mine) {
  std::vector<float>& whole = values_[name];
  for (const std::vector<float>& part : gather_floats(*groups_, mine))
    whole.insert(whole.end(), part.begin(), part.end());
}

void CaseResults::gather_gradients(const Parameters& parameters,
                                   const std::function<std::vector<ParameterSpec>(int rank)>& specs_of) {
  for (const Parameter& parameter : parameters.all()) {
    const auto gradient = parameter.gradient.span<float>();
    if (!parameter.expert && gradient.data() != nullptr)
      values_["grad." + parameter.name].assign(gradient.begin(), gradient.end());
  }
  const auto parts = gather_floats(*groups_, parameters.experts().gradient.span<float>());
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    auto next = parts[rank].begin();
    for (const ParameterSpec& spec : specs_of(static_cast<int>(rank))) {
      if (!spec.expert) continue;
      values_["grad." + spec.name].assign(next, next + spec.shape.elements());
      next += spec.shape.elements();
    }
  }
}

std::pair<double, std::string> CaseResults::compare(const CaseFile& file) const {
  constexpr std::string_view kPrefix = "expected.";
  std::pair<double, std::string> worst{-1, ""};
  for (const std::string& name : file.tensors().names()) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string result = name.substr(kPrefix.size());
    const auto got = values_.find(result);
    check(got != values_.end(), "case: ", name, " is expected, nothing computes it");
    const Tensor expected = file.tensors().tensor(name);
    check(expected.elements() == static_cast<std::int64_t>(got->second.size()), "case: ", name, " has ",
          expected.elements(), " elements, must have ", got->second.size());
    const double error = relative_error(got->second, expected);
    if (error > worst.first) worst = {error, result};
  }
  check(worst.first >= 0, "case: no tensor is expected");
  return worst;
}

std::uint64_t CaseResults::digest(std::span<const std::string> names, std::span<const ParameterSpec> specs) const {
  const std::unique_ptr<XXH64_state_t, decltype(&XXH64_freeState)> state(XXH64_createState(), XXH64_freeState);
  XXH64_reset(state.get(), 0);
  const auto update = [&](const std::string& name) {
    const std::vector<float>& values = values_.at(name);
    XXH64_update(state.get(), values.data(), values.size() * sizeof(float));
  };
  for (const std::string& name : names) update(name);
  for (const ParameterSpec& spec : specs) {
    if (spec.expert) update("grad." + spec.name);
  }
  return XXH64_digest(state.get());
}

}  // namespace coe
