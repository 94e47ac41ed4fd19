#include "runtime/data/maths/maths_templates.h"

namespace coe {

namespace {

constexpr auto kTemplates = std::to_array<MathsTemplate>({
    {"trip_in_two_legs",
     "v 20..70, a 2..6, w 20..70, b 2..6",
     {"A {vehicle} goes {v} miles an hour for {a} hours and then {w} miles an hour for {b} hours. How far does it go?",
      "{A} takes a {vehicle} for {a} hours at {v} miles per hour and {b} more hours at {w} miles per hour. How many "
      "miles "
      "is that?",
      "For {a} hours a {vehicle} does {v} mph, for the next {b} hours {w} mph. What distance does it cover?"},
     {"The first part is {v * a = x} miles.\nThe second part is {w * b = y} miles.\nIn all that is {x + y = t} miles.",
      "{a} hours at {v} mph are {a * v = x} miles.\n{b} hours at {w} mph are {b * w = y} miles.\nThe sum is {x + y = "
      "t} "
      "miles."}},
    {"way_to_work",
     "d 2..15, n 3..6, w 2..9",
     {"{A} lives {d} miles from the {place}. {He} goes there and back {n} times a week. How many miles is that in {w} "
      "weeks?",
      "The {place} is {d} miles from {A}'s home. In a week {he} makes {n} round trips. How far does {he} travel in {w} "
      "weeks?",
      "{A} rides {d} miles to the {place} and {d} miles home, {n} days a week. How many miles does {he} ride in {w} "
      "weeks?"},
     {"There and back are {2 * d = a} miles.\nIn a week that is {a * n = b} miles.\nIn {w} weeks it is {b * w = t} "
      "miles.",
      "A round trip is {d + d = a} miles.\n{n} of them are {n * a = b} miles a week.\nOver {w} weeks {A} covers {w * b "
      "= "
      "t} miles."}},
    {"travel_time",
     "v 20..70, h 2..9, d v*h, b 2..4",
     {"A {vehicle} drives {d} miles at {v} miles an hour, with {b} hours of breaks. How many hours does the trip take?",
      "{A} drives {d} miles at {v} mph and rests for {b} hours on the way. How long is {he} on the road in all?",
      "A trip of {d} miles is done at {v} miles per hour. Breaks take {b} hours. After how many hours does it end?"},
     {"Driving takes {d / v = h} hours.\nWith breaks it is {h + b = t} hours.",
      "{d} miles at {v} mph take {d / v = h} hours.\nAdding {b} hours makes {h + b = t} hours."}},
    {"meeting",
     "v 20..60, w 20..60, h 2..8, s v + w, d s*h",
     {"Two towns are {d} miles apart. A {vehicle} leaves one at {v} mph and a {vehicle2} leaves the other at {w} mph. "
      "After how many hours do they meet?",
      "{A} and {B} are {d} miles apart and drive towards each other, {A} at {v} and {B} at {w} miles an hour. In how "
      "many "
      "hours do they meet?",
      "A {vehicle} and a {vehicle2}, {d} miles apart, come towards each other at {v} mph and {w} mph. How long until "
      "they "
      "meet, in hours?"},
     {"Each hour they come {v + w = s} miles closer.\nThey meet after {d / s = h} hours.",
      "Together they go {v + w = s} miles an hour.\n{d} miles take {d / s = h} hours."}},
    {"head_start",
     "w 60..200, g 5..40, v w + g, n 3..15, s 10..90",
     {"{A} runs {v} meters a minute and {B} runs {w}. {A} starts {s} meters ahead. How far ahead is {A} after {n} "
      "minutes?",
      "In a race {A} starts {s} meters before {B}. {A} runs {v} and {B} {w} meters a minute. How many meters lie "
      "between "
      "them after {n} minutes?",
      "{B} runs {w} meters per minute, {A} {v}. With a lead of {s} meters at the start, what is {A}'s lead after {n} "
      "minutes?"},
     {"Each minute {A} gains {v - w = g} meters.\nIn {n} minutes that is {n * g = a} meters.\nThe lead is {s + a = t} "
      "meters.",
      "{A} runs {v * n = a} meters.\n{B} runs {w * n = b} meters.\n{A} gains {a - b = c} meters.\nThe lead grows to {c "
      "+ "
      "s = t} meters."}},
    {"fuel",
     "m 15..40, g 2..12, d m*g, p 2..6",
     {"A {vehicle} goes {m} miles on a gallon. Fuel costs ${p} a gallon. What does the fuel for {d} miles cost?",
      "{A} drives {d} miles. {His} {vehicle} needs a gallon every {m} miles, at ${p} a gallon. How much does {he} pay?",
      "At ${p} a gallon and {m} miles to the gallon, how many dollars does a trip of {d} miles cost {A}?"},
     {"The trip needs {d / m = g} gallons.\nThey cost {g * p = t} dollars.",
      "{A} uses {d / m = g} gallons.\nAt {p} dollars each that is {p * g = t} dollars."}},
    {"fence",
     "l 8..40, w 4..30, c 2..12",
     {"A garden is {l} feet long and {w} feet wide. A fence costs ${c} a foot. What does a fence around the garden "
      "cost?",
      "{A} puts a fence around a field of {l} by {w} feet. Each foot costs ${c}. How much does {he} pay?",
      "What is the price of a fence around a yard {l} feet long and {w} feet wide, at ${c} per foot?"},
     {"Length and width are {l + w = h} feet.\nThe fence is {2 * h = p} feet long.\nIt costs {p * c = t} dollars.",
      "Half way around it is {l + w = h} feet.\nAll the way it is {h * 2 = p} feet.\nAt {c} dollars a foot that is {c "
      "* p "
      "= t} dollars."}},
    {"tiles",
     "s 2|3|4|5, i 2..6, a s*i, b 4..15",
     {"The {room} is {a} feet by {b} feet. A tile covers {s} square feet. How many tiles does the floor need?",
      "{A} lays tiles in the {room}, which is {b} feet long and {a} feet wide. One tile covers {s} square feet. How "
      "many "
      "does {he} need?",
      "A tile covers {s} square feet. How many tiles cover the floor of a {room} of {a} by {b} feet?"},
     {"The floor has {a * b = x} square feet.\nIt needs {x / s = t} tiles.",
      "The area is {b * a = x} square feet.\nAt {s} square feet a tile that is {x / s = t} tiles."}},
    {"pond",
     "a 2..5, l 8..25, w 6..20",
     {"A garden of {l} by {w} feet has a square pond with sides of {a} feet. How many square feet are left for plants?",
      "In {A}'s garden, {l} feet long and {w} feet wide, there is a square pond {a} feet wide. How large is the rest, "
      "in "
      "square feet?",
      "{A} digs a pond of {a} by {a} feet in a lawn of {l} by {w} feet. How much lawn remains, in square feet?"},
     {"The whole area is {l * w = x} square feet.\nThe pond takes {a * a = y} square feet.\nThat leaves {x - y = t} "
      "square feet.",
      "All together there are {w * l = x} square feet.\nThe pond is {a * a = y} of them.\nThe rest is {x - y = t} "
      "square "
      "feet."}},
    {"ages_sum",
     "a 5..30, d 2..15, n 2..20",
     {"{A} is {a} years old. {B} is {d} years older. What will be the sum of their ages in {n} years?",
      "{B} is {d} years older than {A}, who is {a}. In {n} years, how old will they be together?",
      "{A} is {a}, and {B} was born {d} years before {him}. Add their ages {n} years from now. What do you get?"},
     {"{B} is {a + d = b} years old.\nIn {n} years {A} is {a + n = x}.\nThen {B} is {b + n = y}.\nTogether that is {x "
      "+ y "
      "= t} years.",
      "Now {B} is {a + d = b}.\nToday the sum is {a + b = s}.\nBoth gain {2 * n = g} years.\nThe sum will be {s + g = "
      "t}."}},
    {"ages_times",
     "a 4..15, k 2..6, n 2..20",
     {"{B} is {k} times as old as {A}, who is {a}. How old will {B} be in {n} years?",
      "{A} is {a} years old. {B}'s age is {k} times that. What is {B}'s age {n} years later?",
      "{A} is {a}. {B} is {k} times as old. How many years old is {B} after another {n} years?"},
     {"{B} is {k * a = b} years old.\nIn {n} years {B} is {b + n = t}.",
      "Now {B} is {a * k = b}.\nLater {B} is {b + n = t} years old."}},
    {"ages_past",
     "x 6..25, n 2..12, d 2..10",
     {"{n} years ago {A} was {x} years old. {B} is now {d} years older than {A}. How old is {B}?",
      "{A} was {x} years old {n} years ago, and {B} is {d} years older than {him}. What is {B}'s age today?",
      "{B} is {d} years older than {A}. If {A} was {x} when they met {n} years ago, how old is {B} now?"},
     {"{A} is now {x + n = a} years old.\n{B} is {a + d = t}.",
      "Today {A} is {x + n = a}.\n{B} is {d} years older, which makes {a + d = t}."}},
    {"reading",
     "r 5..40, n 3..15, s 10..80, x s + r*n",
     {"A book has {x} pages. {A} has read {s} and reads {r} pages a day. In how many days does {he} finish it?",
      "{A} is on page {s} of {x}. At {r} pages a day, how many days does {he} need for the rest?",
      "Of {x} pages {A} has read {s}. How many more days does it take at {r} pages each day?"},
     {"There are {x - s = b} pages left.\nThey take {b / r = n} days.",
      "{A} still has {x - s = b} pages.\nAt {r} pages a day it takes {b / r = n} days."}},
    {"machines",
     "m 2..9, r 4..30, h 2..8, p 2..20",
     {"{m} machines each make {r} {toys} an hour. After {h} hours {p} {toys} are found broken. How many are good?",
      "A factory runs {m} machines for {h} hours. Each makes {r} {toys} an hour, and {p} {toys} break. How many are "
      "left?",
      "In an hour one machine makes {r} {toys}. {m} of them run {h} hours. {p} {toys} are thrown away. How many "
      "remain?"},
     {"In an hour they make {m * r = a} {toys}.\nIn {h} hours they make {a * h = b}.\nThe good ones are {b - p = t}.",
      "One machine makes {r * h = a} {toys}.\nAll of them make {m * a = b}.\nWithout the bad ones that is {b - p = "
      "t}."}},
    {"pool",
     "l 2..9, g 3..20, r g + l, n 4..30, c g*n",
     {"A tap fills a pool with {r} gallons a minute, but {l} gallons a minute leak out. How many minutes does it take "
      "to "
      "get {c} gallons?",
      "{A}'s pool holds {c} gallons. A hose adds {r} gallons a minute and a leak loses {l}. After how many minutes is "
      "it "
      "full?",
      "Each minute {r} gallons run into an empty tank and {l} run out. When does it hold {c} gallons, in minutes?"},
     {"Each minute the water grows by {r - l = g} gallons.\nIt takes {c / g = n} minutes.",
      "What stays is {r - l = g} gallons a minute.\n{c} gallons take {c / g = n} minutes."}},
    {"working_together",
     "a 2..15, b 2..15, h 2..9, s a + b, x s*h",
     {"{A} paints {a} boards an hour and {B} paints {b}. How many hours do they need for {x} boards together?",
      "A fence has {x} boards. {A} can paint {a} an hour, {B} can paint {b}. How long do they take together, in hours?",
      "{A} folds {a} boxes an hour, {B} folds {b}. After how many hours have they folded {x} boxes?"},
     {"Together they do {a + b = s} an hour.\nThey need {x / s = h} hours.",
      "In one hour they finish {a + b = s}.\n{x} of them take {x / s = h} hours."}},
    {"episodes",
     "n 3..9, m 15..60, b 3..15",
     {"{A} watches {n} episodes of {m} minutes each, with a break of {b} minutes between two. How many minutes does it "
      "take?",
      "{n} lessons last {m} minutes each. Between them are breaks of {b} minutes. How many minutes pass from start to "
      "end?",
      "{A} swims {n} times for {m} minutes and rests {b} minutes in between. How long is that in all, in minutes?"},
     {"Without breaks it is {n * m = x} minutes.\nThere are {n - 1 = k} breaks.\nThe breaks take {k * b = y} "
      "minutes.\nIn "
      "all that is {x + y = t} minutes.",
      "There are {n - 1 = k} breaks.\nThey last {b * k = y} minutes.\nThe rest lasts {m * n = x} minutes.\nThe sum is "
      "{x "
      "+ y = t} minutes."}},
    {"steady_speed",
     "v 3..60, h 2..6, d v*h, n 2..9",
     {"A {vehicle} goes {d} miles in {h} hours. How many miles does it go in {n} more hours at the same speed?",
      "In {h} hours {A} covers {d} miles. If {he} keeps going like this for {n} hours, how far is that?",
      "{d} miles take {A} {h} hours. How many miles can {he} do in {n} hours?"},
     {"The speed is {d / h = v} miles an hour.\nIn {n} hours that is {v * n = t} miles.",
      "One hour is {d / h = v} miles.\n{n} hours are {n * v = t} miles."}},
});

}  // namespace

std::span<const MathsTemplate> maths_measure_templates() { return kTemplates; }

}  // namespace coe
