#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/memory/random.h"

namespace coe {

/// What stands in one word problem for `slot`: a person ("A", "B", "C"), a pronoun of the first person ("he", "him",
/// "his", "He", "His"), or a kind of things ("fruit", plural "fruits", another one "fruit2", "fruits2"). The same key
/// gives the same word, and the people of one key are different, as the two things of a kind are. Throws kInternal for
/// a slot that there is no word for.
std::string_view maths_word(std::string_view slot, RandomKey key);

}  // namespace coe
