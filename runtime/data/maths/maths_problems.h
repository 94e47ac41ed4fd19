#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/memory/random.h"
#include "runtime/data/maths/maths_templates.h"
#include "runtime/data/token_source.h"

namespace coe {

/// A grade-school word problem with a worked answer, plain ASCII, its last line "#### 42" as in GSM8K (Cobbe et al.
/// 2021, "Training Verifiers to Solve Math Word Problems").
struct MathsProblem {
  std::string_view name;  ///< of its template
  std::string numbers;    ///< "n=3 p=4": with the name, what the problem is, however it is worded
  std::string question;
  std::string answer;
};

/// Every kind of problem.
const std::vector<MathsTemplate>& maths_templates();

/// The problem that `key` and `counter` name in `split`. The splits share no problem: template and drawn numbers decide
/// by a hash where one belongs (a tenth is for validation), and others are drawn until one falls into `split`.
MathsProblem draw_maths_problem(RandomKey key, std::uint64_t counter, Split split);
/// The same as text: question, newline, answer.
std::string maths_problem(RandomKey key, std::uint64_t counter, Split split);

/// Maths problems as byte tokens, endless: sequence i is a function of (seed, split, i) alone, problems one after
/// another with a blank line between them, the last one cut off. Where documents are separate each problem is one, its
/// blank line included.
class MathsSource final : public TokenSource {
 public:
  /// Throws kBadInput where `vocab` has no room for ASCII (128).
  MathsSource(std::uint64_t seed, Split split, std::int64_t vocab, Documents documents);
  void read(std::int64_t index, std::span<std::int32_t> tokens, std::span<std::uint8_t> marks) const override;
  bool marked() const override { return documents_ == Documents::kSeparate; }
  std::int64_t sequences() const override { return -1; }
  std::int64_t vocab() const override { return vocab_; }

 private:
  RandomKey key_;
  Split split_;
  std::int64_t vocab_;
  Documents documents_;
};

}  // namespace coe
