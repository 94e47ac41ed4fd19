#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "runtime/data/token_array.h"

namespace coe {

/// A file of little-endian uint16 tokens. Throws kBadInput for a file that cannot be read, is empty, has an odd number
/// of bytes, or holds a token >= `vocab`.
std::unique_ptr<TokenArray> open_token_file(const std::filesystem::path& path, std::int64_t vocab);

}  // namespace coe
