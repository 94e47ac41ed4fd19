#include "launcher/tell.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

namespace coe {
namespace {

TEST(Tell, ALineIsWrittenWhole) {
  testing::internal::CaptureStderr();
  tell_unfinished("12");
  tell("3");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "123\n");
}

/// Runs `body` with `file` in place of stdout or stderr.
template <class Body>
void with(int stream, const char* file, const Body& body) {
  const int before = dup(stream), full = open(file, O_WRONLY);
  dup2(full, stream);
  body();
  dup2(before, stream);
  close(before);
  close(full);
}

TEST(Tell, AFullDiskIsNoError) {
  with(STDERR_FILENO, "/dev/full", [] { tell("lost"); });
}

TEST(Tell, AReaderWhoIsGoneIsNoError) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  const int own = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  tell("lost");
  dup2(own, STDERR_FILENO);
  std::signal(SIGPIPE, before);
  close(own);
  close(ends[1]);
}

TEST(PrintOut, SaysWhereNothingCanBeWritten) {
  bool written = true;
  with(STDOUT_FILENO, "/dev/full", [&] { written = print_out("lost"); });
  EXPECT_FALSE(written);
  std::clearerr(stdout);
  testing::internal::CaptureStdout();
  EXPECT_TRUE(print_out("kept"));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "kept");
}

}  // namespace
}  // namespace coe
