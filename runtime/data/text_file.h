#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "runtime/data/token_array.h"

namespace coe {

/// The bytes of any file as tokens. Throws kBadInput for a file that cannot be read, is empty, or holds a byte >=
/// `vocab`.
std::unique_ptr<TokenArray> open_text_file(const std::filesystem::path& path, std::int64_t vocab);

}  // namespace coe
