package dev.heddle.parallel.pipeline;

import dev.heddle.parallel.pipeline.PipelineGraph.Place;
import java.util.ArrayList;
import java.util.List;

/** One lane's work on one microbatch in one stage, while a schedule is being made. */
final class Task {
  /** The halves of the work; {@code BACKWARD} is the whole backward where no weights task is. */
  enum Kind {
    FORWARD,
    BACKWARD,
    WEIGHTS
  }

  final Kind kind;
  final Place place;
  final int lane;
  final int microBatch;
  final long cost;

  /** The lane's ranks, as indices into the schedule's ranks. */
  final int[] members;

  /** What it counts against; see {@link LiveLimit}. */
  LiveLimit limit = LiveLimit.none();

  /** A second one, of activations that wait for their weight gradients. */
  LiveLimit deferredLimit = LiveLimit.none();

  final List<Task> successors = new ArrayList<>();
  int waitsFor;
  long rank;
  long start = -1;

  /** How many tasks started before it. */
  long turn;

  Task(Kind kind, Place place, int lane, int microBatch, long cost, int[] members) {
    this.kind = kind;
    this.place = place;
    this.lane = lane;
    this.microBatch = microBatch;
    this.cost = cost;
    this.members = members;
  }

  /** This task starts after {@code earlier} has ended. */
  void after(Task earlier) {
    earlier.successors.add(this);
    waitsFor++;
  }

  boolean fits() {
    return kind != Kind.FORWARD || (limit.hasRoom() && deferredLimit.hasRoom());
  }

  @Override
  public String toString() {
    return kind
        + "("
        + place.component()
        + ":"
        + place.stage()
        + "/"
        + lane
        + ", "
        + microBatch
        + ")";
  }
}
