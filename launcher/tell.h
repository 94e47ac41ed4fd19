#pragma once

#include <string_view>

namespace coe {

/// Writes a line to stderr, whole and at once. What cannot be written is lost and no error: a run outlives its
/// terminal, the other end of its pipe, and a full disk.
void tell(std::string_view line);
/// The same without a line's end, for what is written over.
void tell_unfinished(std::string_view text);

/// Writes to stdout; false where that fails, now or before.
bool print_out(std::string_view text);

}  // namespace coe
