#pragma once

#include <boost/process.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/launcher/scratch.h"

namespace coe {

/// What a child process left.
struct Outcome {
  int code = -1;
  std::string out, err;
  double seconds = 0;
};

/// A `coe` command, alone or as every rank of mpirun, running or ended.
class Program {
 public:
  /// Starts `coe ARGUMENTS...` in `folder`, where its output goes to files; ranks 0: without mpirun. `variables` are
  /// added to the environment.
  Program(const Scratch& folder, std::vector<std::string> arguments, int ranks = 0,
          const std::map<std::string, std::string>& variables = {})
      : out_(folder / "stdout.txt"), err_(folder / "stderr.txt"), start_(std::chrono::steady_clock::now()) {
    namespace process = boost::process;
    // Boost.Process writes over what is there and leaves the rest.
    std::filesystem::remove(out_);
    std::filesystem::remove(err_);
    std::string file = COE_PROGRAM;
    if (ranks > 0) {
      std::vector<std::string> launch = {"-q", "--oversubscribe", "--bind-to", "none", "-np", std::to_string(ranks)};
      // mpirun, when terminated, passes SIGTERM on after this many seconds and SIGKILL after as many again.
      launch.insert(launch.end(), {"--mca", "odls_base_sigkill_timeout", "2", file});
      arguments.insert(arguments.begin(), launch.begin(), launch.end());
      file = process::search_path("mpirun").string();
    }
    process::environment environment = boost::this_process::environment();
    if (geteuid() == 0) {
      environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
      environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    }
    for (const auto& [name, value] : variables) environment[name] = value;
    child_ = process::child(file, process::args(arguments), process::start_dir(folder.path()), environment,
                            process::std_in<process::null, process::std_out> out_, process::std_err > err_);
  }

  int id() const { return child_.id(); }
  bool running() { return child_.running(); }

  Outcome wait() {
    child_.wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
    return {child_.exit_code(), read_text(out_), read_text(err_), took.count()};
  }

 private:
  std::filesystem::path out_, err_;
  std::chrono::steady_clock::time_point start_;
  boost::process::child child_;
};

inline Outcome run_program(const Scratch& folder, const std::vector<std::string>& arguments, int ranks = 0) {
  return Program(folder, arguments, ranks).wait();
}

}  // namespace coe
