#include "launcher/report/comparison_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace coe {
namespace {

std::string thousands(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto place = static_cast<std::int64_t>(text.size()) - 3; place > 0; place -= 3)
    text.insert(static_cast<std::size_t>(place), 1, ',');
  return text;
}

std::string bytes_text(std::int64_t bytes) {
  auto amount = static_cast<double>(bytes);
  std::string_view unit = "B";
  for (const std::string_view larger : {"KiB", "MiB", "GiB", "TiB"}) {
    if (amount < 1024) break;
    amount /= 1024;
    unit = larger;
  }
  return fmt::format("{:.{}f} {}", amount, unit == "B" ? 0 : 2, unit);
}

std::string loss_text(const std::optional<double>& loss) { return loss ? fmt::format("{:.4f}", *loss) : "-"; }

std::string share_text(double seconds, double of) { return fmt::format("{:.1f} %", of > 0 ? 100 * seconds / of : 0); }

std::string speed_text(const RunSummary& run) {
  return run.seconds > 0 ? thousands(static_cast<std::int64_t>(static_cast<double>(run.tokens) / run.seconds)) : "-";
}

double unnamed_seconds(const RunSummary& run) {
  double rest = run.seconds;
  for (const double seconds : run.times.seconds) rest -= seconds;
  return std::max(rest, 0.0);
}

/// Rows of equal length, the first column to the left, the others to the right.
class Table {
 public:
  explicit Table(std::span<const RunSummary> runs) : runs_(runs) {}

  void add(const std::string& name, const std::function<std::string(const RunSummary&)>& cell) {
    std::vector<std::string> row{name};
    for (const RunSummary& run : runs_) row.push_back(cell(run));
    rows_.push_back(std::move(row));
  }

  std::string text() const {
    std::vector<std::size_t> widths(runs_.size() + 1);
    for (const auto& row : rows_)
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string text;
    for (const auto& row : rows_) {
      text += fmt::format("{:<{}}", row[0], widths[0]);
      for (std::size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
      text += '\n';
    }
    return text;
  }

 private:
  std::span<const RunSummary> runs_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace

std::string comparison_table(std::span<const RunSummary> runs) {
  Table table(runs);
  table.add("", [](const RunSummary& run) { return run.name; });
  table.add("steps", [](const RunSummary& run) { return thousands(run.steps); });
  table.add("validation loss before", [](const RunSummary& run) { return loss_text(run.first_validation); });
  table.add("validation loss after", [](const RunSummary& run) { return loss_text(run.last_validation); });
  table.add("tokens/s", speed_text);
  for (std::size_t i = 0; i < kPartNames.size(); ++i)
    table.add(fmt::format("time in {}", kPartNames[i]),
              [i](const RunSummary& run) { return share_text(run.times.seconds[i], run.seconds); });
  table.add("time in the rest", [](const RunSummary& run) { return share_text(unnamed_seconds(run), run.seconds); });
  std::size_t iterations = 0;
  for (const RunSummary& run : runs) iterations = std::max(iterations, run.load.size());
  for (std::size_t i = 0; i < iterations; ++i)
    table.add(fmt::format("expert load max/mean, iteration {}", i + 1), [i](const RunSummary& run) {
      return i < run.load.size() ? fmt::format("{:.2f}", run.load[i]) : std::string("-");
    });
  table.add("bytes exchanged", [](const RunSummary& run) { return bytes_text(run.bytes_exchanged); });
  return table.text();
}

}  // namespace coe
