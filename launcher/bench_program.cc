#include "launcher/bench_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "launcher/command.h"

namespace coe {

std::filesystem::path bench_program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "coe_bench";
}

int run_bench(std::span<const std::string> arguments) {
  const std::string program = bench_program().string();
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execv(program.c_str(), pointers.data());
  fail(ErrorCode::kSystem, "bench: ", program, " cannot be started: ", std::strerror(errno));
}

}  // namespace coe
