package dev.heddle.parallel.context;

import dev.heddle.nn.SequenceSpec;
import java.util.Random;
import java.util.stream.LongStream;

/** Sequences drawn at random, and arrays over their positions. Legend: B lanes, S positions. */
final class RandomSequences {
  private RandomSequences() {}

  /** A few lanes of one length, 0 to 20 positions. */
  static SequenceSpec lanes(Random random) {
    return SequenceSpec.of(1 + random.nextInt(3), random.nextInt(21));
  }

  /** One lane of up to 5 documents of 1 to 9 positions. */
  static SequenceSpec packed(Random random) {
    int documents = 1 + random.nextInt(5);
    return SequenceSpec.packed(
        LongStream.generate(() -> 1 + random.nextInt(9)).limit(documents).toArray());
  }

  static SequenceSpec draw(Random random, boolean packed) {
    return packed ? packed(random) : lanes(random);
  }

  static double[] values(Random random, long count) {
    return random.doubles(count, -1, 1).toArray();
  }

  /** The given positions of a whole [B,S,width]. */
  static double[] at(double[] whole, SequenceSpec sequence, long[] positions, int width) {
    int lanes = (int) sequence.lanes();
    double[] part = new double[lanes * positions.length * width];
    for (int lane = 0; lane < lanes; lane++) {
      for (int i = 0; i < positions.length; i++) {
        int from = (int) (lane * sequence.length() + positions[i]) * width;
        System.arraycopy(whole, from, part, (lane * positions.length + i) * width, width);
      }
    }
    return part;
  }

  /** The largest difference, relative to the largest expected value (at least 1). */
  static double difference(double[] actual, double[] expected) {
    if (actual.length != expected.length) {
      return Double.POSITIVE_INFINITY;
    }
    double largest = 1;
    double difference = 0;
    for (int i = 0; i < actual.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]));
      double here = Math.abs(actual[i] - expected[i]);
      difference = Double.isNaN(here) ? Double.POSITIVE_INFINITY : Math.max(difference, here);
    }
    return difference / largest;
  }
}
