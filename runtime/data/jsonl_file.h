#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "runtime/config/config.h"
#include "runtime/data/token_array.h"

namespace coe {

/// The text of a file of JSON objects, one a line, as byte tokens: of every object the strings `data.fields`, joined by
/// a newline, and a blank line between two objects. Empty lines and UTF-8's byte order mark are passed over. Rows are
/// decoded as they are read: memory holds an index of them and not their text. Where documents are separate each row is
/// one, its blank line included; where `data.loss_fields` names some of the fields, tokens of the others are
/// uncounted, newlines belonging to the field that they end.
///
/// A file of up to kLookedThrough bytes is complete at once, of a larger one its beginning is looked through. Throws
/// kBadInput for a file that cannot be read or begins without text, and, as "file:line: ...", for a line that is not a
/// JSON object, lacks a field, has one that is not a string, or holds a byte >= `vocab`.
std::unique_ptr<TokenArray> open_jsonl_file(const std::filesystem::path& path, const DataConfig& data,
                                            std::int64_t vocab);

}  // namespace coe
