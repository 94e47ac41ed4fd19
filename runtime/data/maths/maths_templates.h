#pragma once

#include <array>
#include <span>
#include <string_view>

namespace coe {

/// One kind of word problem, in a small language that maths_problems.cc reads.
///
/// `numbers` says how the letters get their values, in order: "n 2..9" (drawn), "p 10|20|50" (one of them),
/// "m n*p + 5" (computed; products before sums, no brackets). In texts, `{n}` is a number, `{A}`, `{B}`, `{C}` are
/// people (`{he}`, `{his}`, `{him}`, `{He}` and `{His}` stand for A), `{fruit}` and `{fruits}` are a word of that kind
/// and its plural, `{fruit2}` and `{fruits2}` another one, and `{n * p = t}`, in answers only, is written out with its
/// value, which `t` then has. The last value is the problem's answer. Drawn numbers are kept only where every value is
/// a whole number of at least 2, so that texts need no singular.
struct MathsTemplate {
  std::string_view name;
  std::string_view numbers;
  std::array<std::string_view, 3> questions;
  std::array<std::string_view, 2> answers;  ///< Steps, one a line.
};

/// Shopping, earning, saving, percentages.
std::span<const MathsTemplate> maths_money_templates();
/// Distances, times, areas, ages, rates of work.
std::span<const MathsTemplate> maths_measure_templates();
/// Counting, sharing, fractions, averages.
std::span<const MathsTemplate> maths_count_templates();

}  // namespace coe
