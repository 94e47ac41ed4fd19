#pragma once

#include <filesystem>
#include <vector>

namespace coe {

/// What lies in a folder, in no order; nothing where there is no such folder. Throws kSystem where it cannot be read:
/// what it holds is not known then.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);
/// Whether a regular file is there. Throws kSystem where that cannot be seen.
bool is_file(const std::filesystem::path& path);

}  // namespace coe
