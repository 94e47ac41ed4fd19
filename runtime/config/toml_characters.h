#pragma once

#include <cstdint>
#include <string_view>

namespace coe {

/// The line, from 1, of the first thing in a TOML text that toml++ must not be given; 0 where there is none. These are
/// characters beyond ASCII outside of strings and comments, of which it takes some (U+031A) for whitespace by undefined
/// behaviour, strings of several lines, which hide where a string ends and which no configuration needs, and more than
/// 256 dots outside of strings on a line: it makes a table of every part of a dotted key, and then calls itself for
/// each.
std::int64_t first_strange_line(std::string_view text);

}  // namespace coe
