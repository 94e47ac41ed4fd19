#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace coe {

/// Where the text of a file begins: after UTF-8's byte order mark, else at 0. Throws kBadInput, naming it, for text in
/// UTF-16 or UTF-32, which is told by its mark or by its zeros.
std::size_t begin_of_text(std::span<const std::byte> bytes, const std::filesystem::path& path);

/// What a file is that certainly is not text, by its first bytes: "compressed by gzip", "a NumPy array", ...; else "".
std::string_view not_text(std::span<const std::byte> bytes);

}  // namespace coe
