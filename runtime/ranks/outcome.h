#pragma once

#include <functional>
#include <string>

namespace coe {

/// What `work` returned, or the error that it threw, as text for another rank.
std::string outcome_of(const std::function<std::string()>& work);
bool has_failed(const std::string& outcome);
/// What was returned; throws what was thrown.
std::string result_of(std::string outcome);

}  // namespace coe
