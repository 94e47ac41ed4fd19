#include "tests/launcher/program.h"

#include <unistd.h>

#include <boost/process.hpp>

namespace coe {

namespace process = boost::process;

struct Program::Child : process::child {
  using process::child::child;
};

std::string program_file() { return COE_PROGRAM; }

Program::Program(const Scratch& folder, std::vector<std::string> arguments, int ranks,
                 const std::map<std::string, std::string>& variables)
    : out_(folder / "stdout.txt"), err_(folder / "stderr.txt"), start_(std::chrono::steady_clock::now()) {
  // Boost.Process writes over what is there and leaves the rest.
  std::filesystem::remove(out_);
  std::filesystem::remove(err_);
  std::string file = program_file();
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
  child_ = std::make_unique<Child>(file, process::args(arguments), process::start_dir(folder.path()), environment,
                                   process::std_in<process::null, process::std_out> out_, process::std_err > err_);
}

Program::~Program() = default;

int Program::id() const { return child_->id(); }

bool Program::running() { return child_->running(); }

Outcome Program::wait() {
  child_->wait();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  return {child_->exit_code(), read_text(out_), read_text(err_), took.count()};
}

Outcome run_program(const Scratch& folder, const std::vector<std::string>& arguments, int ranks) {
  return Program(folder, arguments, ranks).wait();
}

}  // namespace coe
