#pragma once

#include <algorithm>
#include <boost/program_options.hpp>
#include <string>
#include <string_view>

#include "kernels/memory/error.h"
#include "runtime/config/allowed_words.h"
#include "runtime/config/config_words.h"

namespace coe {

/// The value of --option, which is a word of an enum's. Throws kBadInput in the name of `verb`.
template <class Enum>
Enum named_word(std::string_view verb, const char* option, const boost::program_options::variables_map& values) {
  const std::string& name = values[option].as<std::string>();
  const auto* found = std::ranges::find(kWords<Enum>, name);
  check(found != kWords<Enum>.end(), verb, ": --", option, " is ", name, ", must be ", type_words<Enum>());
  return static_cast<Enum>(found - kWords<Enum>.begin());
}

}  // namespace coe
