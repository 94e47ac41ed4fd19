#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/memory/tensor.h"
#include "launcher/verify/case_file.h"
#include "runtime/model/parameters.h"
#include "runtime/ranks/rank_groups.h"

namespace coe {

/// What the ranks computed, put together in global order on every rank; by the name that a case file has behind
/// "expected.".
class CaseResults {
 public:
  explicit CaseResults(const RankGroups& groups) : groups_(&groups) {}

  void add(const std::string& name, std::vector<float> values) { values_[name] = std::move(values); }
  /// Puts together what every rank has of one tensor, in rank order. Collective.
  void gather(const std::string& name, std::span<const float> mine);
  /// All gradients as "grad.<parameter>": replicated ones of this rank, expert ones from who holds them. `specs_of`
  /// lists the parameters of a rank. Collective.
  void gather_gradients(const Parameters& parameters,
                        const std::function<std::vector<ParameterSpec>(int rank)>& specs_of);

  const std::vector<float>& at(const std::string& name) const { return values_.at(name); }
  /// The largest ||got - expected|| / ||expected|| (absolute where all is zero expected) over all tensors that the file
  /// expects, and whose it is; infinite for flags (uint8) that differ and for what is not finite. Throws kBadInput for
  /// an expected tensor that nothing was computed for.
  std::pair<double, std::string> compare(const CaseFile& file) const;
  /// XXH64 of the named results' bytes, then of all expert gradients, in the order of the specs.
  std::uint64_t digest(std::span<const std::string> names, std::span<const ParameterSpec> specs) const;

 private:
  const RankGroups* groups_;
  std::map<std::string, std::vector<float>> values_;
};

}  // namespace coe
