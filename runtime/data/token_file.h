#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "runtime/data/token_array.h"

namespace coe {

/// The width of the numbers of a token file.
enum class TokenWidth { k16 = 2, k32 = 4 };

/// A file of little-endian tokens without sign, 16 bits each where `width` says nothing else. The header of llm.c's
/// files (256 int32: magic number, version, count of tokens; 20240520 for 16 bits, 20240801 for 32) is known by its
/// magic number and passed over. Throws kBadInput for a file that cannot be read, is empty, ends within a token, has
/// another width than `width` by its header or by every other number being 0, is of 16 bits where `vocab` needs more,
/// or holds a token >= `vocab`.
std::unique_ptr<TokenArray> open_token_file(const std::filesystem::path& path, std::optional<TokenWidth> width,
                                            std::int64_t vocab);

}  // namespace coe
