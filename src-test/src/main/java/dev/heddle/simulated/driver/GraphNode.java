package dev.heddle.simulated.driver;

/**
 * A piece of work: in a stream it runs once, in a graph at each launch.
 *
 * @param kind what an update of a graph compares: the kind of node, and the function of a kernel
 * @param what the work with its arguments, for messages
 * @param work does it
 */
record GraphNode(String kind, String what, Work work) {
  /** Work of a simulated GPU. */
  @FunctionalInterface
  interface Work {
    /**
     * Runs; false if it cannot yet because another thread's call is needed, and nothing is done.
     */
    boolean run();
  }

  static GraphNode of(String kind, String what, Runnable work) {
    return new GraphNode(
        kind,
        what,
        () -> {
          work.run();
          return true;
        });
  }
}
