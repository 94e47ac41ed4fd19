#include "launcher/train/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "comm/launch.h"
#include "launcher/tell.h"

namespace coe {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetweenBars = 100ms;
constexpr auto kBetweenLines = 10s;
constexpr std::int64_t kBarWidth = 30;

std::string clock_time(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

bool stderr_is_terminal() {
  if (isatty(STDERR_FILENO) == 1) return true;
  if (!launched_by_mpi()) return false;
  std::error_code error;
  const auto target = std::filesystem::read_symlink(fmt::format("/proc/{}/fd/2", getppid()), error).string();
  return !error && (target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"));
}

Progress::Progress(std::int64_t first, std::int64_t last, bool terminal)
    : first_(first), last_(last), terminal_(terminal) {}

void Progress::say(const std::string& sentence) {
  tell((bar_drawn_ ? "\r\033[K" : "") + sentence);
  bar_drawn_ = false;
}

void Progress::show(const StepReport& report) {
  const auto now = Clock::now();
  const bool last = report.step == last_;
  if (!last && now - shown_ < (terminal_ ? kBetweenBars : std::chrono::milliseconds(kBetweenLines))) return;
  shown_ = now;
  if (terminal_) {
    draw_bar(report);
    if (last) say("");
    return;
  }
  say(fmt::format("step {}/{}  loss {:.4f}  gradient norm {:.3f}  {:.0f} tokens/s  {} left", report.step, last_,
                  report.loss, report.gradient_norm, report.tokens_per_second(),
                  clock_time(seconds_left(report.step))));
}

void Progress::draw_bar(const StepReport& report) {
  const std::int64_t done = last_ > 0 ? kBarWidth * report.step / last_ : kBarWidth;
  const std::string bar = std::string(static_cast<std::size_t>(done), '=') + (done < kBarWidth ? ">" : "");
  tell_unfinished(fmt::format("\r\033[K{}/{} [{:<{}}] loss {:.3f}  {:.0f} tokens/s  {} left", report.step, last_, bar,
                              kBarWidth, report.loss, report.tokens_per_second(),
                              clock_time(seconds_left(report.step))));
  bar_drawn_ = true;
}

double Progress::seconds_left(std::int64_t step) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  return step > first_ ? seconds / static_cast<double>(step - first_) * static_cast<double>(last_ - step) : 0;
}

}  // namespace coe
