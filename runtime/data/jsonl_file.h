#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "runtime/data/token_array.h"

namespace coe {

/// The text of a file of JSON objects, one a line, as byte tokens: of every object the strings `fields`, joined by a
/// newline, and a blank line between two objects. Empty lines are passed over. Throws kBadInput for a file that cannot
/// be read or holds no object, and, as "file:line: ...", for a line that is not a JSON object, lacks a field, has one
/// that is not a string, or holds a byte >= `vocab`.
std::unique_ptr<TokenArray> open_jsonl_file(const std::filesystem::path& path, std::span<const std::string> fields,
                                            std::int64_t vocab);

}  // namespace coe
