package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.PipelineGraph.Place;

/**
 * In which order a schedule's tasks are taken where several could be: what makes one schedule
 * another.
 *
 * @param kind the order inside a pipeline
 * @param encoders how components before the sink stand against it where they share ranks
 * @param ahead how many microbatches more than by their distance such components may have under
 *     way: what lies between the bubbles that their work fills
 * @param deferred how many microbatches' weight gradients a rank may put off in any case
 */
record SchedulePolicy(ScheduleKind kind, Encoders encoders, int ahead, int deferred) {
  /** What is taken first on a rank that runs an encoder and the sink component. */
  enum Encoders {
    /** Whatever is nearer to the end of the graph, backwards before forwards. */
    BY_DISTANCE,
    /** The sink component's work; forwards of encoders before their backwards. */
    FORWARD_IN_BUBBLES,
    /** The sink component's work; backwards of encoders before their forwards. */
    BACKWARD_IN_BUBBLES,
    /** Encoders forward as early as memory allows, their backwards in bubbles. */
    UP_FRONT,
    /**
     * All work of encoders forward before the sink begins, all of it back after the sink has ended:
     * the simple order, whose memory grows with the number of microbatches.
     */
    FIRST_AND_LAST
  }

  /** Smaller is taken first. */
  long rank(PipelineGraph graph, Task task, long order) {
    boolean sink = task.place.component().equals(graph.sink().name());
    long distance = graph.distance(task.place);
    long byKind =
        switch (task.kind) {
          case BACKWARD -> kind == ScheduleKind.GPIPE ? 1 : 0;
          case FORWARD -> kind == ScheduleKind.GPIPE ? 0 : 1;
          case WEIGHTS -> 2;
        };
    boolean forward = task.kind == Task.Kind.FORWARD;
    long byEncoder =
        switch (encoders) {
          case BY_DISTANCE, FIRST_AND_LAST -> 0;
          case FORWARD_IN_BUBBLES -> sink ? 0 : forward ? 1 : 2;
          case BACKWARD_IN_BUBBLES -> sink ? 0 : forward ? 2 : 1;
          case UP_FRONT -> sink ? 1 : forward ? 0 : 2;
        };
    boolean last = task.kind == Task.Kind.WEIGHTS;
    return (((last ? 1 : 0) * 4 + byEncoder) * 4 + byKind) * (1L << 50)
        + (kind == ScheduleKind.INTERLEAVED ? 0 : distance) * (1L << 30)
        + order;
  }

  /** Whether a stage may have any number of microbatches under way. */
  boolean isUnbounded(PipelineGraph graph, Place place) {
    boolean sink = place.component().equals(graph.sink().name());
    return kind == ScheduleKind.GPIPE || encoders == Encoders.FIRST_AND_LAST && !sink;
  }

  /** How many microbatches a stage may have under way. */
  int liveMicroBatches(PipelineGraph graph, Place place) {
    if (isUnbounded(graph, place)) {
      return Integer.MAX_VALUE;
    }
    boolean sink = place.component().equals(graph.sink().name());
    boolean shares =
        !sink && !graph.component(place.component()).mesh().isDisjointFrom(graph.sink().mesh());
    return graph.distance(place) + 1 + (shares ? ahead : 0);
  }
}
