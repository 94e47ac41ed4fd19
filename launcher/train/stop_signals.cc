#include "launcher/train/stop_signals.h"

#include <csignal>

namespace coe {
namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t raised_signal = 0;

void remember(int signal) { raised_signal = signal; }

}  // namespace

StopSignals::StopSignals() {
  raised_signal = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int StopSignals::raised() const { return raised_signal; }

}  // namespace coe
