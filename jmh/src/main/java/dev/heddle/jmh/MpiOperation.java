package dev.heddle.jmh;

/** What {@link MpiComparison} compares; the labels are the words of the turns. */
enum MpiOperation {
  ALL_REDUCE("allReduce"),
  ALL_GATHER("allGather"),
  REDUCE_SCATTER("reduceScatter"),
  PING_PONG("pingPong");

  private final String label;

  MpiOperation(String label) {
    this.label = label;
  }

  String label() {
    return label;
  }

  static MpiOperation labelled(String label) {
    for (MpiOperation operation : values()) {
      if (operation.label.equals(label)) {
        return operation;
      }
    }
    throw new IllegalArgumentException("MpiOperation: got " + label + ", wanted such as allReduce");
  }
}
