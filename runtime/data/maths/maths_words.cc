#include "runtime/data/maths/maths_words.h"

#include <array>
#include <span>

#include "kernels/memory/error.h"

namespace coe {

namespace {

struct Word {
  std::string_view singular, plural;
};

struct Kind {
  std::string_view name;
  std::array<Word, 7> words;
};

constexpr auto kKinds = std::to_array<Kind>({
    {"fruit",
     {{{"apple", "apples"},
       {"pear", "pears"},
       {"orange", "oranges"},
       {"peach", "peaches"},
       {"plum", "plums"},
       {"mango", "mangoes"},
       {"lemon", "lemons"}}}},
    {"toy",
     {{{"marble", "marbles"},
       {"sticker", "stickers"},
       {"toy car", "toy cars"},
       {"doll", "dolls"},
       {"puzzle", "puzzles"},
       {"balloon", "balloons"},
       {"bead", "beads"}}}},
    {"supply",
     {{{"pen", "pens"},
       {"pencil", "pencils"},
       {"notebook", "notebooks"},
       {"ruler", "rulers"},
       {"marker", "markers"},
       {"folder", "folders"},
       {"brush", "brushes"}}}},
    {"bake",
     {{{"muffin", "muffins"},
       {"cookie", "cookies"},
       {"bagel", "bagels"},
       {"cupcake", "cupcakes"},
       {"brownie", "brownies"},
       {"pie", "pies"},
       {"bread roll", "bread rolls"}}}},
    {"flower",
     {{{"rose", "roses"},
       {"tulip", "tulips"},
       {"daisy", "daisies"},
       {"lily", "lilies"},
       {"sunflower", "sunflowers"},
       {"orchid", "orchids"},
       {"violet", "violets"}}}},
    {"garment",
     {{{"shirt", "shirts"},
       {"scarf", "scarves"},
       {"hat", "hats"},
       {"jacket", "jackets"},
       {"sweater", "sweaters"},
       {"dress", "dresses"},
       {"belt", "belts"}}}},
    {"container",
     {{{"box", "boxes"},
       {"basket", "baskets"},
       {"bag", "bags"},
       {"crate", "crates"},
       {"jar", "jars"},
       {"tray", "trays"},
       {"carton", "cartons"}}}},
    {"vehicle",
     {{{"car", "cars"},
       {"van", "vans"},
       {"bus", "buses"},
       {"truck", "trucks"},
       {"train", "trains"},
       {"motorbike", "motorbikes"},
       {"taxi", "taxis"}}}},
    {"place",
     {{{"library", "libraries"},
       {"museum", "museums"},
       {"school", "schools"},
       {"park", "parks"},
       {"market", "markets"},
       {"station", "stations"},
       {"stadium", "stadiums"}}}},
    {"room",
     {{{"kitchen", "kitchens"},
       {"garage", "garages"},
       {"workshop", "workshops"},
       {"hallway", "hallways"},
       {"bedroom", "bedrooms"},
       {"classroom", "classrooms"},
       {"bathroom", "bathrooms"}}}},
});

constexpr std::size_t kWomen = 21;
constexpr auto kNames = std::to_array<std::string_view>({
    "Alice", "Amara", "Beatriz", "Chloe", "Dana",  "Elena",  "Fatima", "Grace",  "Hana",  "Ingrid", "Julia",
    "Keiko", "Lena",  "Maya",    "Nadia", "Olga",  "Priya",  "Rosa",   "Sofia",  "Tara",  "Wendy",  "Ahmed",
    "Ben",   "Carlo", "Diego",   "Emil",  "Felix", "George", "Hiro",   "Ivan",   "Jamal", "Kofi",   "Leo",
    "Marco", "Nils",  "Omar",    "Pedro", "Quinn", "Rahul",  "Samuel", "Viktor",
});
// A prime number of them, so that any step from one to the next meets every one before it comes back.
static_assert(kNames.size() == 41 && kKinds[0].words.size() == 7);

struct Pronoun {
  std::string_view slot, of_woman, of_man;
};
constexpr auto kPronouns = std::to_array<Pronoun>({
    {"he", "she", "he"},
    {"him", "her", "him"},
    {"his", "her", "his"},
    {"He", "She", "He"},
    {"His", "Her", "His"},
});

/// The number, below `size`, of the `which`th (0, 1, ...) thing that `key` picks at `counter`; all of them different.
std::size_t pick(RandomKey key, std::uint64_t counter, std::size_t which, std::size_t size) {
  const std::uint64_t first = random_below(key, 2 * counter, size);
  const std::uint64_t step = 1 + random_below(key, 2 * counter + 1, size - 1);
  return (first + which * step) % size;
}

std::size_t person(RandomKey key, std::size_t which) { return pick(key, kKinds.size(), which, kNames.size()); }

}  // namespace

std::string_view maths_word(std::string_view slot, RandomKey key) {
  if (slot.size() == 1 && slot[0] >= 'A' && slot[0] <= 'C')
    return kNames[person(key, static_cast<std::size_t>(slot[0] - 'A'))];
  for (const Pronoun& pronoun : kPronouns)
    if (pronoun.slot == slot) return person(key, 0) < kWomen ? pronoun.of_woman : pronoun.of_man;

  const std::size_t which = slot.ends_with('2') ? 1 : 0;
  const std::string_view name = slot.substr(0, slot.size() - which);
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    const auto& [singular_name, words] = kKinds[kind];
    const bool plural = name.ends_with('s') && name.substr(0, name.size() - 1) == singular_name;
    if (name != singular_name && !plural) continue;
    const Word& word = words[pick(key, kind, which, words.size())];
    return plural ? word.plural : word.singular;
  }
  fail(ErrorCode::kInternal, "maths problems: a text has the slot {", slot, "}, which no word belongs to");
}

}  // namespace coe
