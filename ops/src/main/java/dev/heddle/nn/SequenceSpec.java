package dev.heddle.nn;

import java.util.Arrays;
import java.util.stream.LongStream;

/**
 * The sequences of a microbatch before any division over ranks: lanes of equal length, each cut
 * into the same documents, which do not see each other. Sequences that were padded to one length
 * are lanes of one document; packed sequences are the documents of a single lane.
 *
 * @param lanes B, how many lanes there are
 * @param length S, the positions of a lane
 * @param documentStarts the first position of each document, ascending, the first one 0
 */
@SuppressWarnings("ArrayRecordComponent") // a value made once a microbatch and only read
public record SequenceSpec(long lanes, long length, long[] documentStarts) {
  /** Lanes of one document each. */
  public static SequenceSpec of(long lanes, long length) {
    return new SequenceSpec(lanes, length, new long[] {0});
  }

  /** One lane of documents of the given lengths, empty ones left out. */
  public static SequenceSpec packed(long... lengths) {
    long[] starts = new long[lengths.length];
    int count = 0;
    long end = 0;
    for (long length : lengths) {
      if (length > 0) {
        starts[count++] = end;
        end += length;
      }
    }
    return new SequenceSpec(1, end, Arrays.copyOf(starts, count));
  }

  /** How many documents a lane has. */
  public int documentCount() {
    return documentStarts.length;
  }

  /** The position after the last one of document {@code document}. */
  public long documentEnd(int document) {
    return document + 1 < documentStarts.length ? documentStarts[document + 1] : length;
  }

  /** The document that a position of a lane belongs to. */
  public int documentOf(long position) {
    int found = Arrays.binarySearch(documentStarts, position);
    return found >= 0 ? found : -found - 2;
  }

  /** For positions of a lane their positions within their documents, as rotary angles go by. */
  public long[] documentPositions(long... positions) {
    long[] within = new long[positions.length];
    for (int i = 0; i < positions.length; i++) {
      within[i] = positions[i] - documentStarts[documentOf(positions[i])];
    }
    return within;
  }

  /** All positions of a lane, 0 to S - 1. */
  public long[] positions() {
    return LongStream.range(0, length).toArray();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SequenceSpec(long otherLanes, long otherLength, long[] otherStarts)
        && lanes == otherLanes
        && length == otherLength
        && Arrays.equals(documentStarts, otherStarts);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * Long.hashCode(lanes) + Long.hashCode(length))
        + Arrays.hashCode(documentStarts);
  }

  @Override
  public String toString() {
    return lanes + " x " + length + " from " + Arrays.toString(documentStarts);
  }
}
