#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace coe {

/// What tells runs apart in a table or a picture: each model's name, and where several runs have it, behind it the name
/// of the run's folder, with as many of the folders above as it takes. `models` and `folders` are of the same runs.
std::vector<std::string> run_names(std::span<const std::string> models, std::span<const std::filesystem::path> folders);

}  // namespace coe
