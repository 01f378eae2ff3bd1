package dev.heddle.parallel.data;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Parameter;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Some parameters' gradients, one after the other in one array: what one collective reduces. The
 * parameters' gradients are views of it.
 */
final class GradientBucket {
  /** A parameter, its place in the bucket, and whether its gradient is complete. */
  private static final class Slot {
    final Parameter parameter;
    final long start;
    final NDArray place;
    boolean last;
    boolean complete;

    Slot(Parameter parameter, long start, NDArray place) {
      this.parameter = parameter;
      this.start = start;
      this.place = place;
    }
  }

  private final Communicator replicas;
  private final Map<Tensor, Slot> slots = new LinkedHashMap<>();

  /** Where the replicas divide the work, the part of each of them; else empty. */
  private final List<NDArray> parts = new ArrayList<>();

  private final Interval mine;
  private final NDArray flat;
  private int incomplete;
  private @Nullable Handle open;

  /**
   * A bucket of {@code parameters}, all of one dtype on one device. Its memory belongs to the scope
   * that is open.
   *
   * @param divided whether each replica gets only its part of the sum
   */
  GradientBucket(Communicator replicas, List<Parameter> parameters, boolean divided) {
    this.replicas = replicas;
    NDArray first = parameters.getFirst().tensor().value();
    long size = parameters.stream().mapToLong(p -> p.tensor().value().size()).sum();
    flat = NDArray.empty(first.device(), first.dtype(), size);
    long start = 0;
    for (Parameter parameter : parameters) {
      Shape shape = parameter.tensor().shape();
      NDArray place = flat.slice(0, start, start + shape.size()).reshape(shape);
      parameter.tensor().keepGradientIn(place);
      slots.put(parameter.tensor(), new Slot(parameter, start, place));
      start += shape.size();
    }
    incomplete = slots.size();
    for (int member = 0; divided && member < replicas.size(); member++) {
      Interval part = Split.part(size, replicas.size(), member);
      parts.add(flat.slice(0, part.start(), part.end()));
    }
    mine = divided ? Split.part(size, replicas.size(), replicas.rank()) : new Interval(0, size);
  }

  /** Calls {@code completed} whenever a gradient turned out to be the last one missing. */
  void onComplete(Runnable completed) {
    for (Slot slot : slots.values()) {
      slot.parameter
          .tensor()
          .onGradient(
              (tensor, gradient) -> {
                if (slot.last && !slot.complete) {
                  slot.complete = true;
                  if (--incomplete == 0) {
                    completed.run();
                  }
                }
              });
    }
  }

  /** The next gradient of a parameter of this bucket completes it. */
  void expectLast(Tensor tensor) {
    Slot slot = slots.get(tensor);
    if (slot != null) {
      slot.last = true;
    }
  }

  boolean isComplete() {
    return incomplete == 0;
  }

  /** Begins the reduction of what is there; a gradient that nothing contributed to is zero. */
  void post() {
    for (Slot slot : slots.values()) {
      slot.parameter.tensor().gradientOrZeros();
    }
    open =
        parts.isEmpty()
            ? replicas.allReduce(flat, ReduceOp.SUM)
            : replicas.reduceScatter(parts, parts.get(replicas.rank()), ReduceOp.SUM);
  }

  /** Waits for what was posted; afterwards the bucket is ready for the next step. */
  void await() {
    Handle posted = open;
    if (posted != null) {
      posted.await();
      open = null;
    }
    incomplete = slots.size();
    for (Slot slot : slots.values()) {
      slot.last = false;
      slot.complete = false;
    }
  }

  /** What this rank has complete of each parameter after the reduction. */
  List<ParameterPart> ownParts() {
    return slots.values().stream().map(this::ownPart).toList();
  }

  private ParameterPart ownPart(Slot slot) {
    long size = slot.place.size();
    long start = Math.clamp(mine.start() - slot.start, 0, size);
    long end = Math.clamp(mine.end() - slot.start, start, size);
    return new ParameterPart(slot.parameter, start, end);
  }

  /** Begins to hand this rank's updated weights to the others; overwrites the gradients. */
  void postWeights() {
    for (Slot slot : slots.values()) {
      ParameterPart part = ownPart(slot);
      if (part.size() > 0) {
        NDArray weight = part.weight();
        weight.kernels().copy(weight, part.of(slot.place));
      }
    }
    open = replicas.allGather(parts.get(replicas.rank()), parts);
  }

  /** Waits for the others' updated weights and takes them over. */
  void awaitWeights() {
    await();
    for (Slot slot : slots.values()) {
      NDArray weight = slot.parameter.tensor().value();
      weight.kernels().copy(slot.place, weight);
      weight.block().touch();
    }
  }

  /** For example {@code 3 parameters, F32 x 1200}. */
  @Override
  public String toString() {
    return slots.size() + " parameters, " + flat.dtype() + " x " + flat.size();
  }
}
