package dev.heddle.parallel.comm;

/** The operations of a {@link Communicator}, as they are counted and named in messages. */
public enum CommunicationKind {
  ALL_REDUCE("allReduce"),
  REDUCE("reduce"),
  REDUCE_SCATTER("reduceScatter"),
  BROADCAST("broadcast"),
  ALL_GATHER("allGather"),
  GATHER("gather"),
  SCATTER("scatter"),
  ALL_TO_ALL("allToAll"),
  EXCHANGE("exchange"),
  BARRIER("barrier"),
  /** The all-reduce of numbers on the Java heap, such as norms and counts. */
  HOST_ALL_REDUCE("allReduce of host values"),
  /** The all-gather of numbers on the Java heap, such as row counts. */
  HOST_ALL_GATHER("allGather of host values");

  private final String label;

  CommunicationKind(String label) {
    this.label = label;
  }

  /** The name of the method, as messages write it. */
  public String label() {
    return label;
  }
}
