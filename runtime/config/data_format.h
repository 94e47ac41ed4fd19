#pragma once

#include <filesystem>

#include "runtime/config/config.h"

namespace coe {

/// The format in which `path`, one of `data`'s, is read: what data.format says, else by its suffix; maths where the
/// path is empty.
DataFormat format_of(const DataConfig& data, const std::filesystem::path& path);

/// Whether a file of `format` holds tokens and not text.
inline bool is_tokens(DataFormat format) { return format == DataFormat::kTokens || format == DataFormat::kTokens32; }

}  // namespace coe
