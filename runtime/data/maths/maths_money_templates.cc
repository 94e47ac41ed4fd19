#include "runtime/data/maths/maths_templates.h"

namespace coe {

namespace {

constexpr auto kTemplates = std::to_array<MathsTemplate>({
    {"change",
     "n 3..12, p 2..9, c 2..20, m n*p + c",
     {"{A} buys {n} {supplys} for ${p} each and pays with ${m}. How much change does {he} get?",
      "At the store each {supply} costs ${p}. {A} takes {n} of them and hands over ${m}. How many dollars does {he} "
      "get "
      "back?",
      "{A} has ${m}. {He} spends some of it on {n} {supplys} at ${p} each. How much money is left?"},
     {"The {supplys} cost {n * p = t} dollars.\n{A} has {m - t = r} dollars left.",
      "{n} {supplys} at ${p} each are {n * p = t} dollars.\nThat leaves {m - t = r} dollars."}},
    {"two_kinds",
     "n 2..9, p 2..8, m 2..9, q 2..12",
     {"{A} buys {n} {fruits} at ${p} each and {m} {fruits2} at ${q} each. How much does {he} spend?",
      "One {fruit} costs ${p} and one {fruit2} costs ${q}. What do {n} {fruits} and {m} {fruits2} cost together?",
      "For a party {A} needs {n} {fruits} and {m} {fruits2}. One {fruit} is ${p}, one {fruit2} is ${q}. What does {he} "
      "pay?"},
     {"The {fruits} cost {n * p = a} dollars.\nThe {fruits2} cost {m * q = b} dollars.\nTogether they cost {a + b = t} "
      "dollars.",
      "{A} pays {n * p = a} dollars for {fruits}.\n{He} pays {m * q = b} dollars for {fruits2}.\nThat is {a + b = t} "
      "dollars in all."}},
    {"discount",
     "k 2..15, x 20*k, p 5|10|15|20|25|30|40|50|60|75",
     {"{A} wants a {garment} that costs ${x}. Today it is {p} percent off. What does {he} pay?",
      "The price of a {garment} was ${x} before a sale took {p}% off. What is the sale price?",
      "A shop sells a {garment} for ${x}. {A} has a coupon for {p} percent off. How much does the {garment} cost "
      "{him}?"},
     {"The discount is {x * p / 100 = d} dollars.\nThe price is {x - d = r} dollars.",
      "{p} percent of {x} is {x * p / 100 = d}.\n{A} pays {x - d = r} dollars."}},
    {"savings",
     "s 5..60, w 3..25, n 3..12",
     {"{A} has ${s} and saves ${w} every week. How much does {he} have after {n} weeks?",
      "There are ${s} in {A}'s piggy bank. {He} adds ${w} a week for {n} weeks. How many dollars are in it then?",
      "{A} starts with ${s}. Each week for {n} weeks {he} puts ${w} aside. How much money is that in the end?"},
     {"In {n} weeks {A} saves {n * w = a} dollars.\nThen {he} has {s + a = t} dollars.",
      "{He} adds {w * n = a} dollars.\nWith the first {s} dollars that makes {a + s = t} dollars."}},
    {"weeks_to_save",
     "s 5..60, w 3..25, n 3..12, x s + w*n",
     {"{A} wants a bicycle for ${x}. {He} has ${s} and saves ${w} a week. After how many weeks can {he} buy it?",
      "A tent costs ${x}. {A} already has ${s} and earns ${w} each week. How many weeks must {he} save?",
      "{A} saves ${w} a week for a camera that costs ${x}. If {he} has ${s} now, how many weeks does it take?"},
     {"{A} still needs {x - s = r} dollars.\nThat takes {r / w = n} weeks.",
      "The missing amount is {x - s = r} dollars.\nAt {w} dollars a week it takes {r / w = n} weeks."}},
    {"tip",
     "k 2..12, x 20*k, p 5|10|15|20|25",
     {"A dinner costs ${x}. {A} adds a tip of {p} percent. How much does {he} pay in all?",
      "{A}'s bill at a restaurant is ${x}, and {he} leaves {p}% as a tip. What is the total?",
      "{A} and {B} eat for ${x} and tip {p} percent. How much money do they leave on the table?"},
     {"The tip is {x * p / 100 = d} dollars.\nThe total is {x + d = t} dollars.",
      "{p} percent of {x} is {x * p / 100 = d}.\nAll in all that is {x + d = t} dollars."}},
    {"split_bill",
     "n 3..8, e 9..30, d 6..24, f n*e - d",
     {"{n} friends share a bill equally. The food costs ${f} and the drinks cost ${d}. How much does each of them pay?",
      "{A} and {his} friends are {n} people. They pay ${f} for food and ${d} for drinks and split it evenly. What is "
      "one "
      "share?",
      "Food for ${f} and drinks for ${d} are paid by {n} people in equal parts. How many dollars is each part?"},
     {"The bill is {f + d = t} dollars.\nEach pays {t / n = e} dollars.",
      "Food and drinks cost {f + d = t} dollars together.\nDivided by {n} people that is {t / n = e} dollars each."}},
    {"profit",
     "n 4..25, p 2..12, g 2..9, q p + g",
     {"{A} buys {n} {toys} for ${p} each and sells them for ${q} each. What is {his} profit?",
      "{A} pays ${p} for each {toy} and sells it for ${q}. How much does {he} gain with {n} {toys}?",
      "At a flea market {A} sells {n} {toys} at ${q} each. They had cost {him} ${p} each. How much money did {he} "
      "make?"},
     {"{A} pays {n * p = a} dollars.\n{He} takes in {n * q = b} dollars.\nThe profit is {b - a = r} dollars.",
      "Each {toy} brings {q - p = g} dollars.\nWith {n} {toys} {A} makes {n * g = r} dollars."}},
    {"wage",
     "r 8..30, h 3..9, d 2..6",
     {"{A} earns ${r} an hour. {He} works {h} hours a day for {d} days. How much does {he} earn?",
      "{A} works {d} days, {h} hours each day, for ${r} an hour. What is {his} pay?",
      "A job pays ${r} per hour. {A} does it for {h} hours on each of {d} days. How many dollars does {he} get?"},
     {"{A} works {h * d = t} hours.\n{He} earns {t * r = p} dollars.",
      "A day brings {r * h = t} dollars.\n{d} days bring {t * d = p} dollars."}},
    {"overtime",
     "n 20|30|35|40, r 8..25, h 2..12",
     {"{A} earns ${r} an hour for the first {n} hours of a week and twice as much for every further hour. {He} worked "
      "{h} "
      "hours more than that. What is {his} pay?",
      "For {n} hours of work {A} gets ${r} an hour. {His} {h} hours of overtime are paid double. How much does {he} "
      "get "
      "in all?",
      "{A} worked {n} hours at ${r} an hour and {h} extra hours at double pay. How many dollars did {he} earn?"},
     {"The first hours bring {n * r = a} dollars.\nAn extra hour brings {2 * r = d} dollars.\nThe extra hours bring {h "
      "* "
      "d = b} dollars.\nTogether that is {a + b = t} dollars.",
      "Normal pay is {n * r = a} dollars.\nDouble pay is {r * 2 = d} dollars an hour.\nOvertime pay is {d * h = b} "
      "dollars.\n{A} gets {a + b = t} dollars."}},
    {"allowance",
     "s 2..9, u 2..9, l 2..9, a s + u + l, w 3..12",
     {"{A} gets ${a} a week. {He} spends ${s} on snacks and ${u} on the bus. How much has {he} saved after {w} weeks?",
      "Every week {A} receives ${a}, pays ${u} for the bus and ${s} for snacks, and saves the rest. How much is saved "
      "in "
      "{w} weeks?",
      "Of ${a} pocket money a week, {A} spends ${s} on snacks and ${u} on rides. What is left over in {w} weeks?"},
     {"{A} spends {s + u = b} dollars a week.\n{He} keeps {a - b = l} dollars a week.\nIn {w} weeks that is {l * w = "
      "t} "
      "dollars.",
      "Spending is {s + u = b} dollars a week.\nWhat stays is {a - b = l} dollars a week.\nAfter {w} weeks {A} has {w "
      "* "
      "l = t} dollars."}},
    {"fundraiser",
     "n 3..12, m 4..20, p 2..6, r 10..90, g n*m*p + r",
     {"A class wants to raise ${g}. {n} children each sell {m} {bakes} at ${p}. How much money is still missing?",
      "{n} pupils sell {m} {bakes} each, for ${p} apiece. Their goal is ${g}. How far from it are they?",
      "The goal is ${g}. If {n} students sell {m} {bakes} each at ${p} a piece, how many dollars are left to raise?"},
     {"They sell {n * m = a} {bakes}.\nThat brings {a * p = b} dollars.\nThere are {g - b = r} dollars missing.",
      "One child takes in {m * p = a} dollars.\nAll of them take in {n * a = b} dollars.\nThe goal is {g - b = r} "
      "dollars away."}},
    {"price_rise",
     "k 2..10, x 20*k, p 5|10|15|20|25|30|50, n 2..6",
     {"A {garment} cost ${x} last year. The price rose by {p} percent. What do {n} of them cost now?",
      "The price of a {garment} went up {p}% from ${x}. How much does {A} pay for {n} {garments}?",
      "{A} orders {n} {garments}. One was ${x}, but now it is {p} percent more. What is the bill?"},
     {"The price rose by {x * p / 100 = d} dollars.\nOne costs {x + d = q} dollars.\n{n} of them cost {n * q = t} "
      "dollars.",
      "{p} percent of {x} is {x * p / 100 = d}.\nThe new price is {x + d = q} dollars.\nFor {n} {garments} that is {q "
      "* "
      "n = t} dollars."}},
    {"cheaper_shop",
     "n 3..12, d 2..6, q 3..20, p q + d",
     {"One shop sells {supplys} for ${p} each, another for ${q} each. How much does {A} save on {n} {supplys} in the "
      "cheaper shop?",
      "{A} needs {n} {supplys}. They are ${p} each at the corner and ${q} each at the {place}. How much cheaper are "
      "they "
      "there?",
      "{A} paid ${p} each for {n} {supplys}, and {B} paid ${q} each for as many. How much more did {A} pay?"},
     {"The first price is {n * p = a} dollars.\nThe second price is {n * q = b} dollars.\nThe difference is {a - b = "
      "r} "
      "dollars.",
      "On each one the difference is {p - q = d} dollars.\nOn {n} it is {n * d = r} dollars."}},
    {"coins",
     "q 2..9, d 2..12, n 2..12",
     {"{A} has {q} quarters, {d} dimes and {n} nickels. How many cents is that?",
      "In a jar there are {q} quarters, {n} nickels and {d} dimes. How many cents are in the jar?",
      "{A} finds {d} dimes, {n} nickels and {q} quarters in {his} coat. How much is it, in cents?"},
     {"The quarters are {q * 25 = a} cents.\nThe dimes are {d * 10 = b} cents.\nThe nickels are {n * 5 = c} cents.\n"
      "Together that is {a + b + c = t} cents.",
      "{q} quarters are {25 * q = a} cents.\n{d} dimes are {10 * d = b} cents.\n{n} nickels are {5 * n = c} "
      "cents.\nThe "
      "sum is {a + b + c = t} cents."}},
    {"packs_price",
     "n 3..12, k 2..9, x n*k, c 3..15",
     {"A shop has {toys} in packs of {n}. One pack costs ${c}. How much does {A} pay for {x} {toys}?",
      "{A} needs {x} {toys}. A shop sells them {n} to a pack, and a pack is ${c}. What does {he} spend?",
      "For {x} children {A} buys one {toy} each. There are {n} in a pack of ${c}. What is the cost?"},
     {"{A} needs {x / n = k} packs.\nThey cost {k * c = t} dollars.",
      "{x} {toys} are {x / n = k} packs.\nAt {c} dollars a pack that is {c * k = t} dollars."}},
    {"on_sale",
     "k 2..15, x 20*k, p 5|10|15|20|25|30|40|60|75, q 5..20",
     {"A shop has {x} {garments}. {p} percent of them are sold. The others are offered at ${q} each. What are those "
      "worth?",
      "Of {x} {garments} in a store, {p}% sell on the first day. The rest go for ${q} each. How much do they bring?",
      "{A} has {x} {garments} to sell. {p} percent go at once, the remaining ones later at ${q} each. How much do the "
      "later ones bring?"},
     {"{x * p / 100 = a} {garments} are sold first.\n{x - a = b} {garments} remain.\nThey bring {b * q = t} dollars.",
      "{p} percent of {x} is {x * p / 100 = a}.\nThe rest is {x - a = b}.\nAt {q} dollars each that is {q * b = t} "
      "dollars."}},
});

}  // namespace

std::span<const MathsTemplate> maths_money_templates() { return kTemplates; }

}  // namespace coe
