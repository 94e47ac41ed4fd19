#pragma once

#include <string>
#include <string_view>

namespace coe {

/// How this program was built, and what it runs on, as far as results may depend on it.
struct Build {
  std::string_view version;  ///< "0.1.0"
  std::string_view type;     ///< CMake's: "Release", "Debug"
  std::string instructions;  ///< that the compiler used: "x86-64-v3"
  std::string processor;     ///< what libraries that look for themselves find: "x86-64-v4"
};

const Build& build();

}  // namespace coe
