#include "launcher/report/gnuplot.h"

#include <boost/process.hpp>

#include "kernels/memory/error.h"

namespace coe {

std::string gnuplot_text(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? "''" : std::string(1, letter);
  return result + "'";
}

bool run_gnuplot(const std::string& program, const std::filesystem::path& picture) {
  namespace process = boost::process;
  const auto gnuplot = process::search_path("gnuplot");
  if (gnuplot.empty()) return false;
  process::opstream input;
  process::child child(gnuplot, process::std_in<input, process::std_err> process::null);
  input << program << std::flush;
  input.pipe().close();
  child.wait();
  if (child.exit_code() != 0)
    fail(ErrorCode::kSystem, "gnuplot could not draw ", picture.string(), " (exit code ", child.exit_code(), ")");
  return true;
}

}  // namespace coe
