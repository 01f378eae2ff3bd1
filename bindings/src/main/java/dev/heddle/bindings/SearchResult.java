package dev.heddle.bindings;

import java.lang.foreign.SymbolLookup;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a search for one library came to.
 *
 * @param lookup the opened library's symbols, null if it was not found
 * @param location where it was found, null if it was not
 * @param attempts each place that failed, with its reason, in the order tried
 * @param fix what a person can do about an absent library; empty if it was found
 */
record SearchResult(
    @Nullable SymbolLookup lookup, @Nullable String location, List<String> attempts, String fix) {

  static SearchResult found(SymbolLookup lookup, String location) {
    return new SearchResult(lookup, location, List.of(), "");
  }

  static SearchResult absent(List<String> attempts, String fix) {
    return new SearchResult(null, null, List.copyOf(attempts), fix);
  }

  String explain(String title) {
    StringBuilder text = new StringBuilder(title).append(" is not available. Tried:");
    for (String attempt : attempts) {
      text.append("\n  ").append(attempt);
    }
    return text.append("\nWhat to do: ").append(fix).toString();
  }
}
