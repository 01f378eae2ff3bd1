package dev.heddle.parallel.comm;

import java.util.Arrays;

/**
 * What one rank has communicated: for each kind of operation how often and how many bytes. Bytes
 * are those of the arguments, whatever an implementation does to move them:
 *
 * <ul>
 *   <li>sent: what the rank put in (its array, its part, all its parts);
 *   <li>received: what it got out (the reduced array, its part, all gathered parts);
 *   <li>for {@link CommunicationKind#EXCHANGE}, messages to and from <em>other</em> ranks only.
 * </ul>
 *
 * <p>So tests can state the number, kind and bytes of the communication of a layer. Belongs to the
 * rank's thread.
 */
public final class CommunicationStatistics {
  private static final int KINDS = CommunicationKind.values().length;

  private final long[] counts = new long[KINDS];
  private final long[] sent = new long[KINDS];
  private final long[] received = new long[KINDS];
  private long[] sentTo = new long[0];

  /** The traffic of one kind. */
  public record Traffic(long count, long sentBytes, long receivedBytes) {}

  /** The traffic of one kind of operation. */
  public Traffic of(CommunicationKind kind) {
    int index = kind.ordinal();
    return new Traffic(counts[index], sent[index], received[index]);
  }

  /** How often operations of that kind were posted. */
  public long count(CommunicationKind kind) {
    return counts[kind.ordinal()];
  }

  /** How many operations of any kind were posted. */
  public long totalCount() {
    return Arrays.stream(counts).sum();
  }

  /** Bytes of messages ({@link Communicator#exchange}) to a rank, by its number in the world. */
  public long bytesSentTo(int globalRank) {
    return globalRank < sentTo.length ? sentTo[globalRank] : 0;
  }

  /** A copy that no longer changes. */
  public CommunicationStatistics snapshot() {
    CommunicationStatistics copy = new CommunicationStatistics();
    System.arraycopy(counts, 0, copy.counts, 0, KINDS);
    System.arraycopy(sent, 0, copy.sent, 0, KINDS);
    System.arraycopy(received, 0, copy.received, 0, KINDS);
    copy.sentTo = sentTo.clone();
    return copy;
  }

  /** What was communicated since {@code earlier}, a snapshot of these statistics. */
  public CommunicationStatistics since(CommunicationStatistics earlier) {
    CommunicationStatistics difference = snapshot();
    for (int i = 0; i < KINDS; i++) {
      difference.counts[i] -= earlier.counts[i];
      difference.sent[i] -= earlier.sent[i];
      difference.received[i] -= earlier.received[i];
    }
    for (int i = 0; i < earlier.sentTo.length; i++) {
      difference.sentTo[i] -= earlier.sentTo[i];
    }
    return difference;
  }

  /** Counts one operation; for implementations of {@link Communicator}. */
  public void record(CommunicationKind kind, long sentBytes, long receivedBytes) {
    int index = kind.ordinal();
    counts[index]++;
    sent[index] += sentBytes;
    received[index] += receivedBytes;
  }

  /** Adds a message's bytes to those of its receiver; for implementations. */
  public void recordSentTo(int globalRank, long bytes) {
    if (globalRank >= sentTo.length) {
      sentTo = Arrays.copyOf(sentTo, globalRank + 1);
    }
    sentTo[globalRank] += bytes;
  }

  /** One line for each kind that occurred. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (CommunicationKind kind : CommunicationKind.values()) {
      int index = kind.ordinal();
      if (counts[index] > 0) {
        text.append(text.isEmpty() ? "" : System.lineSeparator());
        text.append(kind.label()).append(": ").append(counts[index]);
        text.append(" times, ").append(sent[index]).append(" bytes sent, ");
        text.append(received[index]).append(" received");
      }
    }
    return text.isEmpty() ? "no communication" : text.toString();
  }
}
