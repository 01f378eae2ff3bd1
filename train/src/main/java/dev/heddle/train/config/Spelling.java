package dev.heddle.train.config;

import java.util.Collection;
import java.util.Locale;

/** Did you mean ...? */
final class Spelling {
  private Spelling() {}

  /**
   * A hint for a refusal.
   *
   * @param word what was written
   * @param known what is known
   * @return {@code "; did you mean x?"}, or nothing when no known word is near
   */
  static String hint(String word, Collection<String> known) {
    String best = "";
    // A third of the word may be wrong: enough for slips, too little for guesses.
    int bestDistance = Math.max(2, word.length() / 3) + 1;
    for (String candidate : known) {
      int distance = distance(simple(word), simple(candidate));
      if (distance < bestDistance && distance < candidate.length()) {
        best = candidate;
        bestDistance = distance;
      }
    }
    return best.isEmpty() ? "" : "; did you mean " + best + "?";
  }

  // hidden_size and hidden-size are hiddenSize.
  private static String simple(String word) {
    return word.toLowerCase(Locale.ROOT).replaceAll("[_\\- ]", "");
  }

  /** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
  private static int distance(String a, String b) {
    int[][] d = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        int substitution = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
        d[i][j] = Math.min(d[i - 1][j - 1] + substitution, Math.min(d[i - 1][j], d[i][j - 1]) + 1);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    }
    return d[a.length()][b.length()];
  }
}
