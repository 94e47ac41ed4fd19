#include "launcher/train/stop_signals.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

namespace coe {
namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t raised_signal = 0, ends_at_once = 0, says_so = 0;

constexpr const char *kEndedBy = "coe: ended by ", *kNothingBegun = " before the first step: nothing was begun";

const char* name_of(int signal) {
  switch (signal) {
    case SIGTERM: return "SIGTERM";
    case SIGINT: return "SIGINT";
    case SIGHUP: return "SIGHUP";
    default: return "SIGUSR1";
  }
}

void write_text(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody is there to read it
}

void remember(int signal) {
  raised_signal = signal;
  if (ends_at_once == 0) return;
  if (says_so != 0) {
    for (const char* text : {kEndedBy, name_of(signal), kNothingBegun, "\n"}) write_text(text);
  }
  _exit(128 + signal);
}

}  // namespace

StopSignals::StopSignals(bool speaks) {
  raised_signal = 0;
  ends_at_once = 1;
  says_so = speaks ? 1 : 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    const bool nohup = kSignals[i] == SIGHUP && before_[i].sa_handler == SIG_IGN;
    if (!nohup) sigaction(kSignals[i], &action, nullptr);
  }
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &pipe_before_);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  sigaction(SIGPIPE, &pipe_before_, nullptr);
}

void StopSignals::keep_running() { ends_at_once = 0; }

int StopSignals::raised() const { return raised_signal; }

std::string StopSignals::nothing_begun(int signal) { return std::string(kEndedBy) + name_of(signal) + kNothingBegun; }

}  // namespace coe
