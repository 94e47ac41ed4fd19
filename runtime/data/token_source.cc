#include "runtime/data/token_source.h"

#include "comm/make_transport.h"
#include "runtime/data/corpus.h"

namespace coe {

std::unique_ptr<TokenSource> make_token_source(const DataConfig& data, Split split, std::int64_t sequence,
                                               std::int64_t vocab, std::uint64_t seed) {
  Corpus corpus(data, sequence, vocab, seed);
  corpus.open(split);
  const std::unique_ptr<Transport> alone = make_transport("local");
  corpus.complete({alone.get()});
  return corpus.source(split);
}

}  // namespace coe
