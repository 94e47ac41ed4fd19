#include "runtime/data/maths/maths_templates.h"

namespace coe {

namespace {

constexpr auto kTemplates = std::to_array<MathsTemplate>({
    {"boxes_given_away",
     "n 2..9, m 4..20, g 2..15",
     {"{A} has {n} {containers} with {m} {toys} each. {He} gives {g} {toys} to {B}. How many does {he} have left?",
      "There are {m} {toys} in each of {A}'s {n} {containers}. {B} gets {g} of them. How many {toys} stay with {A}?",
      "{A} fills {n} {containers} with {m} {toys} each and then loses {g} {toys}. How many {toys} are left?"},
     {"{A} has {n * m = x} {toys}.\nAfter that {he} has {x - g = t}.",
      "{n} {containers} hold {m * n = x} {toys}.\nWithout {g} of them there are {x - g = t}."}},
    {"fraction_given",
     "k 2..8, j 2..15, x k*j, e 2..12",
     {"{A} has {x} {fruits}. {He} gives 1/{k} of them to {B} and eats {e}. How many does {he} still have?",
      "From {x} {fruits}, {A} hands 1/{k} to {B}. Then {he} eats {e} {fruits}. How many are left?",
      "{A} picks {x} {fruits}. {B} takes 1/{k} of them, and {e} are bad. How many good {fruits} does {A} have?"},
     {"{B} gets {x / k = g} {fruits}.\n{A} has {x - g = r} then.\nIn the end there are {r - e = t}.",
      "1/{k} of {x} is {x / k = g}.\nThat leaves {x - g = r}.\nTaking {e} away leaves {r - e = t} {fruits}."}},
    {"fraction_twice",
     "k 3..8, j 2..12, x 2*k*j",
     {"{A} has {x} {toys}. {He} gives 1/{k} of them to {B} and half of the rest to {C}. How many does {C} get?",
      "{B} gets 1/{k} of {A}'s {x} {toys}. {C} gets half of what remains. How many {toys} does {C} have?",
      "Out of {x} {toys}, 1/{k} are red. Half of the others are blue. How many {toys} are blue?"},
     {"1/{k} of {x} is {x / k = g}.\nThe rest is {x - g = r}.\nHalf of that is {r / 2 = t}.",
      "First {x / k = g} {toys} go.\nThen {x - g = r} {toys} remain.\nHalf of them are {r / 2 = t} {toys}."}},
    {"average",
     "m 55..85, x 2..12, y 2..12, z 2..12, a m + x, b m - y, c m + z, d m - x + y - z",
     {"{A} scores {a}, {b}, {c} and {d} in four tests. What is the average?",
      "Four games bring {A} {a}, {b}, {c} and {d} points. How many points is that per game on average?",
      "On four days {A} counts {a}, {b}, {c} and {d} {vehicles}. What is the mean number a day?"},
     {"The sum is {a + b + c + d = s}.\nThe average is {s / 4 = m}.",
      "All four together are {a + b + c + d = s}.\nDivided by 4 that is {s / 4 = m}."}},
    {"needed_score",
     "m 60..90, x 2..9, y 2..9, a m - x, b m + y, c m - 2",
     {"{A} scored {a}, {b} and {c} in three tests. What must {he} score in the fourth for an average of {m}?",
      "After {a}, {b} and {c} points {A} wants an average of {m} over four tests. How many points does {he} need next?",
      "{A}'s first three results are {a}, {b} and {c}. Which fourth result makes the average {m}?"},
     {"Four tests need {4 * m = w} points.\nSo far there are {a + b + c = s}.\nThe fourth must bring {w - s = t}.",
      "{A} has {a + b + c = s} points.\n{He} needs {m * 4 = w} in all.\nThat is {w - s = t} more."}},
    {"share_equally",
     "n 3..9, k 3..15, s n*k, a 4..9, b s - a",
     {"{A} has {a} {bakes} and {B} has {b}. They share them equally among {n} children. How many does each child get?",
      "{A} baked {a} and {B} baked {b} {bakes}. {n} friends divide all of them evenly. How many are there for each?",
      "{a} {bakes} from {A} and {b} from {B} go on {n} plates, the same number on each. How many are on a plate?"},
     {"Together there are {a + b = s} {bakes}.\nEach gets {s / n = k}.",
      "In all they have {a + b = s} {bakes}.\nDivided by {n} that is {s / n = k}."}},
    {"times_as_many",
     "a 3..20, k 2..6, d 2..5",
     {"{A} has {a} {toys}. {B} has {k} times as many, and {C} has {d} fewer than {B}. How many do they have together?",
      "{B} owns {k} times as many {toys} as {A}, who owns {a}. {C} owns {d} fewer than {B}. How many {toys} are there?",
      "{A} found {a} {toys}, {B} found {k} times that many, and {C} found {d} fewer than {B}. What is the total?"},
     {"{B} has {k * a = b} {toys}.\n{C} has {b - d = c}.\nTogether they have {a + b + c = t}.",
      "{k} times {a} is {a * k = b}, for {B}.\n{C} has {b - d = c} {toys}.\nThe total is {a + b + c = t}."}},
    {"empty_seats",
     "r 4..20, c 6..20, e 3..20, p r*c - e",
     {"A hall has {r} rows of {c} seats. {p} people sit in it. How many seats are empty?",
      "{p} guests come to a show. There are {r} rows with {c} chairs each. How many chairs stay free?",
      "{A} sets up {r} rows of {c} chairs, and {p} of them are taken. How many are not?"},
     {"There are {r * c = s} seats.\n{s - p = e} of them are empty.",
      "The rows have {c * r = s} seats together.\nWithout {p} people that leaves {s - p = e}."}},
    {"eggs",
     "n 3..20, d 3..10, u 2..10, p 2..4",
     {"{A} has {n} hens. Each lays one egg a day. In {d} days {A}'s family eats {u} eggs and sells the rest at ${p} "
      "each. "
      "How much does that bring?",
      "{n} hens lay an egg each every day. After {d} days {A} keeps {u} eggs and sells the others for ${p} each. What "
      "does "
      "{he} earn?",
      "In {d} days each of {n} hens lays {d} eggs. {A} bakes with {u} of all the eggs and sells the remaining ones at "
      "${p}. "
      "How many dollars is that?"},
     {"There are {n * d = x} eggs.\n{x - u = r} are sold.\nThey bring {r * p = t} dollars.",
      "The hens lay {d * n = x} eggs.\nWithout {u} eggs there are {x - u = r}.\nAt {p} dollars each that is {p * r = "
      "t} "
      "dollars."}},
    {"legs",
     "c 2..20, h 2..30, s 2..9",
     {"On a farm there are {c} cows, {h} hens and {s} sheep. How many legs do they have?",
      "{A} feeds {h} hens, {s} sheep and {c} cows. How many legs is that in all?",
      "{c} cows, {s} sheep and {h} hens stand in a yard. Count the legs. How many are there?"},
     {"The cows have {c * 4 = x} legs.\nThe hens have {h * 2 = y} legs.\nThe sheep have {s * 4 = z} legs.\nTogether "
      "that "
      "is {x + y + z = t} legs.",
      "Cows and sheep are {c + s = q}.\nThey have {4 * q = x} legs.\nThe hens have {2 * h = y} legs.\nIn all there are "
      "{x "
      "+ y = t} legs."}},
    {"bus_stops",
     "p 15..45, a 3..12, b 2..12, c 2..15",
     {"A bus has {p} passengers. {a} get on and {b} get off. At the next stop {c} more get on. How many are on it now?",
      "{p} people are on a train. At the first stop {b} leave and {a} come in, at the second {c} come in. How many "
      "people "
      "are on the train?",
      "There are {p} people in the {place}. {a} come, {b} go, and then {c} come. How many are there in the end?"},
     {"With {a} more there are {p + a = x}.\nAfter {b} have left there are {x - b = y}.\nThen there are {y + c = t}.",
      "The first change gives {p + a - b = y}.\nWith {c} more that is {y + c = t} people."}},
    {"library",
     "n 3..12, m 10..40, b 10..29, r 2..9",
     {"A library has {n} shelves with {m} books each. {b} books are lent and {r} of those come back. How many books "
      "are "
      "there?",
      "On {n} shelves stand {m} books each. {b} books are taken away and {r} are put back. How many books are on the "
      "shelves?",
      "{A} counts {n} shelves of {m} books. Then {b} books are borrowed and {r} are returned. How many are left?"},
     {"At first there are {n * m = x} books.\nThen there are {x - b = y}.\nIn the end there are {y + r = t}.",
      "The shelves hold {m * n = x} books.\n{b - r = d} books are missing.\nThere are {x - d = t} books."}},
    {"recipe",
     "s 4..12, k 2..9, x s*k, c 2..6",
     {"{c} cups of flour make {s} {bakes}. {A} wants {x} {bakes}. How many cups of "
      "flour "
      "does {he} need?",
      "A recipe for {s} {bakes} takes {c} cups of flour. How many cups does {A} need for {x} {bakes}?",
      "{A} makes {s} {bakes} from {c} cups of flour. How many cups does {he} use for {x} of them?"},
     {"{A} makes the recipe {x / s = k} times.\nThat takes {k * c = t} cups.",
      "{x} {bakes} are {x / s = k} batches.\nAt {c} cups each that is {c * k = t} cups."}},
    {"three_days",
     "a 3..25, k 2..4, d 2..12",
     {"{A} picks {a} {flowers} on Monday, {k} times as many on Tuesday, and {d} more than on Tuesday on Wednesday. How "
      "many "
      "{flowers} is that?",
      "On the first day {A} sells {a} {flowers}, on the second {k} times as many, on the third {d} more than on the "
      "second. How many in all?",
      "{A} plants {a} {flowers} today, {k} times that tomorrow and {d} more than tomorrow on the day after. What is "
      "the "
      "total?"},
     {"On the second day it is {k * a = b}.\nOn the third day it is {b + d = c}.\nTogether that is {a + b + c = t}.",
      "The second day brings {a * k = b} {flowers}.\nThe third day brings {b + d = c}.\nThe total is {a + b + c = t} "
      "{flowers}."}},
    {"packing",
     "n 4..12, k 3..20, r 2..3, x n*k + r",
     {"{A} packs {x} {fruits} into {containers} of {n}. {r} {fruits} are left over. How many {containers} does {he} "
      "fill?",
      "{x} {fruits} go into {containers}, {n} to each, and {r} do not fit. How many full {containers} are there?",
      "{A} eats {r} of {x} {fruits} and puts the others into {containers}, {n} in each. How many {containers} does "
      "{he} "
      "need?"},
     {"{x - r = y} {fruits} are packed.\nThey fill {y / n = k} {containers}.",
      "Without {r} there are {x - r = y} {fruits}.\nAt {n} each that is {y / n = k} {containers}."}},
    {"teams",
     "n 2..8, g 3..8, j 2..6, s g*j",
     {"{n} classes of {s} students each form teams of {g}. How many teams are there?",
      "A school sends {n} classes with {s} students each to a game. They play in teams of {g}. How many teams is that?",
      "There are {s} students in each of {n} classes. They are put into groups of {g}. How many groups are there?"},
     {"There are {n * s = x} students.\nThey form {x / g = t} teams.",
      "One class forms {s / g = j} teams.\nAll classes form {n * j = t} teams."}},
    {"ratio",
     "a 2..7, b 2..7, k 3..15, s a + b, x s*k",
     {"{A} and {B} share {x} {toys} in the ratio {a} to {b}. How many does {A} get?",
      "Of {x} {toys}, for every {a} that {A} takes {B} takes {b}. How many {toys} does {A} have in the end?",
      "A bag of {x} {toys} has {a} red ones for every {b} green ones. How many red {toys} are in it?"},
     {"One round uses {a + b = s} {toys}.\nThere are {x / s = k} rounds.\nThat makes {k * a = t} {toys}.",
      "The parts are {a + b = s}.\nOne part is {x / s = k}.\n{a} parts are {a * k = t} {toys}."}},
    {"wilted",
     "r 3..20, c 10|20|30|40, p 10|20|30|40|50|60|70",
     {"{A} plants {r} rows of {c} {flowers}. {p} percent of them wilt. How many {flowers} live?",
      "In {r} rows there are {c} {flowers} each, and {p}% of all wilt. How many do not?",
      "{p} percent of the {flowers} in {A}'s garden wilt. There were {r} rows with {c} each. How many are left?"},
     {"There are {r * c = x} {flowers}.\n{x * p / 100 = w} of them wilt.\n{x - w = t} of them live.",
      "{A} has {c * r = x} {flowers}.\n{p} percent of that is {x * p / 100 = w}.\nWhat is left is {x - w = t}."}},
    {"secret_number",
     "n 2..30, a 2..9, b 2..30, c n*a + b",
     {"{A} thinks of a number. {He} multiplies it by {a}, adds {b} and gets {c}. What is the number?",
      "A number times {a}, plus {b}, is {c}. Which number is it?",
      "{A} takes a number {a} times and adds {b}. The result is {c}. What did {he} start with?"},
     {"Before adding {b} it was {c - b = x}.\nThe number is {x / a = n}.",
      "Take away {b}: {c - b = x}.\nDivide by {a}: {x / a = n}."}},
});

}  // namespace

std::span<const MathsTemplate> maths_count_templates() { return kTemplates; }

}  // namespace coe
