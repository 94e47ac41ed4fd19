#pragma once

#include <span>
#include <string>

namespace coe {

/// Runs `coe ARGUMENTS...`; returns the exit code. Throws kBadInput for arguments that make no sense.
int run_command(std::span<const std::string> arguments);

/// The verbs, each with the arguments after its name. They return the exit code and throw Error.
int run_train(std::span<const std::string> arguments);
int run_compare(std::span<const std::string> arguments);
int run_plot(std::span<const std::string> arguments);
int run_eval(std::span<const std::string> arguments);
int run_generate(std::span<const std::string> arguments);
int run_config(std::span<const std::string> arguments);
int run_inspect(std::span<const std::string> arguments);
int run_verify(std::span<const std::string> arguments);
int run_bench(std::span<const std::string> arguments);

}  // namespace coe
