#include "runtime/config/data_format.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(DataFormat, IsToldByTheSuffixUnlessItIsNamed) {
  DataConfig data;
  EXPECT_EQ(format_of(data, ""), DataFormat::kMaths);
  EXPECT_EQ(format_of(data, "a/b.jsonl"), DataFormat::kJsonl);
  EXPECT_EQ(format_of(data, "b.bin"), DataFormat::kTokens);
  EXPECT_EQ(format_of(data, "b.json"), DataFormat::kText);
  EXPECT_EQ(format_of(data, "notes"), DataFormat::kText);
  data.format = DataFormat::kTokens32;
  EXPECT_EQ(format_of(data, "b.jsonl"), DataFormat::kTokens32);
}

}  // namespace
}  // namespace coe
