#include "runtime/ranks/agree.h"

#include <span>

#include "runtime/ranks/outcome.h"

namespace coe {

std::vector<std::string> agree(Group group, const Phase& phase, const std::function<std::string()>& work) {
  const std::string mine = outcome_of(work);
  std::vector<std::string> results;
  for (const std::vector<std::byte>& bytes : all_gather_bytes(group, std::as_bytes(std::span(mine)), phase)) {
    results.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  for (std::string& result : results) result = result_of(std::move(result));
  return results;
}

}  // namespace coe
