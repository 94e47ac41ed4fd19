#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "runtime/data/token_array.h"

namespace coe {

/// The bytes of a file as tokens, UTF-8's byte order mark left out. Throws kBadInput for a file that cannot be read, is
/// empty, is in UTF-16 or UTF-32, holds a byte >= `vocab`, or, unless `is_text` vouches for it, is by its first bytes
/// something else than text.
std::unique_ptr<TokenArray> open_text_file(const std::filesystem::path& path, bool is_text, std::int64_t vocab);

}  // namespace coe
