package dev.heddle.parallel.redistribute;

/** Which machine each rank runs on; a plan prefers senders on the receiver's machine. */
@FunctionalInterface
public interface Hosts {
  /** The number of the machine of a rank. */
  int hostOf(int rank);

  /** All ranks run on one machine. */
  static Hosts single() {
    return rank -> 0;
  }

  /** Machine h runs the ranks from {@code h * ranksPerHost} on. */
  static Hosts ofSize(int ranksPerHost) {
    if (ranksPerHost < 1) {
      throw new IllegalArgumentException(
          "hosts: got " + ranksPerHost + " ranks per host, wanted at least 1");
    }
    return rank -> rank / ranksPerHost;
  }
}
