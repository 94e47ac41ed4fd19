#pragma once

#include <filesystem>
#include <string>

namespace coe {

/// Text that gnuplot takes as it is, between single quotes.
std::string gnuplot_text(const std::string& text);

/// Lets gnuplot run a program that draws `picture`; false where there is no gnuplot. Throws kSystem where gnuplot
/// fails.
bool run_gnuplot(const std::string& program, const std::filesystem::path& picture);

}  // namespace coe
