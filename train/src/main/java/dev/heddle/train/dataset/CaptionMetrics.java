package dev.heddle.train.dataset;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How good written captions are, over a set of pictures.
 *
 * @param captions how many were compared
 * @param wordF1 the mean over captions of the F1 of their words, from 0 to 1; see {@link #wordF1}
 * @param exactMatch the share of captions that are the true one word for word, from 0 to 1
 */
public record CaptionMetrics(int captions, double wordF1, double exactMatch) {

  /**
   * A written caption beside the true one.
   *
   * @param written what the model wrote
   * @param truth the true caption
   */
  public record Pair(List<String> written, List<String> truth) {}

  /** Compares captions; of none, both numbers are NaN. */
  public static CaptionMetrics of(List<Pair> pairs) {
    double f1 = 0;
    int exact = 0;
    for (Pair pair : pairs) {
      f1 += wordF1(pair.written(), pair.truth());
      exact += pair.written().equals(pair.truth()) ? 1 : 0;
    }
    int count = pairs.size();
    return new CaptionMetrics(count, f1 / count, (double) exact / count);
  }

  /**
   * The harmonic mean of precision and recall over words, order ignored: a word counts as often as
   * both captions have it. That is the token F1 of SQuAD (Rajpurkar et al., 2016). Nothing written
   * scores 0.
   */
  public static double wordF1(List<String> written, List<String> truth) {
    Map<String, Integer> left = new HashMap<>();
    truth.forEach(word -> left.merge(word, 1, Integer::sum));
    int common = 0;
    for (String word : written) {
      int count = left.getOrDefault(word, 0);
      if (count > 0) {
        left.put(word, count - 1);
        common++;
      }
    }
    // 2 P R / (P + R) with P = common / written and R = common / truth.
    return common == 0 ? 0 : 2.0 * common / (written.size() + truth.size());
  }
}
