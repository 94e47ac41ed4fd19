#pragma once

#include <filesystem>

namespace coe {

/// The program that `coe bench` becomes: beside this one.
std::filesystem::path bench_program();

}  // namespace coe
