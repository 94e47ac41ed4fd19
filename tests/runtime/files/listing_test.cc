#include "runtime/files/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/memory/error.h"
#include "tests/launcher/scratch.h"

namespace coe {
namespace {

TEST(Listing, HasWhatLiesInTheFolder) {
  const Scratch scratch;
  scratch.write("a", "");
  scratch.write("b/c", "");
  EXPECT_THAT(entries_of(scratch.path()), ::testing::UnorderedElementsAre(scratch / "a", scratch / "b"));
}

TEST(Listing, NoFolderHoldsNothing) {
  const Scratch scratch;
  EXPECT_TRUE(entries_of(scratch / "none").empty());
  EXPECT_TRUE(entries_of(scratch.write("file", "") / "below").empty());
}

TEST(Listing, AFileIsThereOrNot) {
  const Scratch scratch;
  EXPECT_TRUE(is_file(scratch.write("file", "")));
  EXPECT_FALSE(is_file(scratch / "none"));
  EXPECT_FALSE(is_file(scratch.path()));
  std::filesystem::create_symlink(scratch / "loop", scratch / "loop");
  EXPECT_THROW(is_file(scratch / "loop"), Error);
}

TEST(Listing, AFolderThatCannotBeReadIsNotTakenForEmpty) {
  const Scratch scratch;
  std::filesystem::create_symlink(scratch / "loop", scratch / "loop");
  try {
    entries_of(scratch / "loop");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kSystem);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("loop: cannot be read: "));
  }
}

}  // namespace
}  // namespace coe
