#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
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

/// The file of the `coe` command.
std::string program_file();

/// A `coe` command, alone or as every rank of mpirun, running or ended.
class Program {
 public:
  /// Starts `coe ARGUMENTS...` in `folder`, where its output goes to files; ranks 0: without mpirun. `variables` are
  /// added to the environment.
  Program(const Scratch& folder, std::vector<std::string> arguments, int ranks = 0,
          const std::map<std::string, std::string>& variables = {});
  /// Ends it where it still runs.
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  int id() const;
  bool running();
  Outcome wait();

 private:
  struct Child;  ///< Boost.Process takes a compiler long to read

  std::filesystem::path out_, err_;
  std::chrono::steady_clock::time_point start_;
  std::unique_ptr<Child> child_;
};

Outcome run_program(const Scratch& folder, const std::vector<std::string>& arguments, int ranks = 0);

}  // namespace coe
