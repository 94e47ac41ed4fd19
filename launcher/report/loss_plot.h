#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace coe {

/// The gnuplot program that draws the training loss (thin, a running mean) and the validation loss (points) of `runs`,
/// data included, as SVG into `picture`, with an entry of the key for each run, also for one that has no point yet.
/// Throws kBadInput for a folder that holds no run.
std::string loss_plot_program(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture);

/// Lets gnuplot run it; false where there is no gnuplot. Throws kSystem where gnuplot fails.
bool draw_losses(std::span<const std::filesystem::path> runs, const std::filesystem::path& picture);

}  // namespace coe
