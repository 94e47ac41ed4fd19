#include "comm/descriptor_mail.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "comm/shared_memory.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

DescriptorLetter letter_with(const SharedMemory& memory, int from, std::uint64_t number) {
  return {from, number, Descriptor(dup(memory.file().get()))};
}

TEST(DescriptorMail, MemoryReachesAnotherProcess) {
  const DescriptorMail mine;
  const SharedMemory memory = SharedMemory::create(4096);
  memory.data()[7] = std::byte{42};
  const DescriptorMail theirs;
  ASSERT_TRUE(mine.send(theirs.address(), letter_with(memory, 3, 9)));
  const pid_t child = fork();
  if (child == 0) {
    const auto letter = theirs.receive();
    if (!letter || letter->from != 3 || letter->number != 9) _exit(1);
    const SharedMemory mapped = SharedMemory::map(Descriptor(dup(letter->file.get())), 4096);
    if (mapped.data()[7] != std::byte{42}) _exit(2);
    mapped.data()[8] = std::byte{43};
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(memory.data()[8], std::byte{43});
}

TEST(DescriptorMail, LettersKeepTheirOrderAndAFullBoxIsSaid) {
  const DescriptorMail mine, theirs;
  const SharedMemory memory = SharedMemory::create(4096);
  std::uint64_t sent = 0;
  while (sent < 100000 && mine.send(theirs.address(), letter_with(memory, 0, sent))) ++sent;
  ASSERT_LT(sent, 100000U);
  ASSERT_GT(sent, 0U);
  for (std::uint64_t number = 0; number < sent; ++number) {
    const auto letter = theirs.receive();
    ASSERT_TRUE(letter);
    EXPECT_EQ(letter->number, number);
  }
  EXPECT_FALSE(theirs.receive());
  EXPECT_TRUE(mine.send(theirs.address(), letter_with(memory, 0, sent)));
}

TEST(DescriptorMail, WhoDoesNotKnowTheSecretIsNotHeard) {
  const DescriptorMail mine, theirs;
  const SharedMemory memory = SharedMemory::create(4096);
  MailAddress guessed = theirs.address();
  guessed.secret[0] ^= std::byte{1};
  ASSERT_TRUE(mine.send(guessed, letter_with(memory, 0, 0)));
  ASSERT_TRUE(mine.send(theirs.address(), letter_with(memory, 0, 1)));
  EXPECT_EQ(theirs.receive()->number, 1U);
}

TEST(DescriptorMail, NobodyThereIsAnError) {
  const DescriptorMail mine;
  MailAddress gone;
  {
    const DescriptorMail theirs;
    gone = theirs.address();
  }
  EXPECT_THROW(mine.send(gone, letter_with(SharedMemory::create(4096), 0, 0)), Error);
}

TEST(DescriptorMail, AFileTooManyIsAnErrorAndNotALoss) {
  const DescriptorMail mine, theirs;
  ASSERT_TRUE(mine.send(theirs.address(), letter_with(SharedMemory::create(4096), 0, 0)));
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const Descriptor next(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const rlimit few{static_cast<rlim_t>(next.get()), before.rlim_max};  // none above those that are open
  setrlimit(RLIMIT_NOFILE, &few);
  EXPECT_THROW(theirs.receive(), Error);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace coe
