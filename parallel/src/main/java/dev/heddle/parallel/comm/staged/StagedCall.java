package dev.heddle.parallel.comm.staged;

import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * One call of a staged communicator. It keeps the caller's arrays and their copies in main memory
 * until it is awaited, and then writes back what came.
 */
final class StagedCall implements Handle {
  /**
   * A copy that is written back, to an array or, if there are any, to the pieces of it in order.
   */
  private record Landing(NDArray host, List<NDArray> targets) {}

  private final Staging staging;
  private final List<NDArray> held = new ArrayList<>();
  private final List<Landing> landings = new ArrayList<>();
  private Handle inner = this;
  private boolean done;
  private @Nullable RuntimeException failure;

  StagedCall(Staging staging) {
    this.staging = staging;
  }

  // ---- arguments

  /** The copy of an array that the call reads. */
  NDArray in(NDArray array) {
    if (!staging.concerns(array)) {
      return array;
    }
    NDArray host = room(array.dtype(), array.shape());
    read(array, host, 0);
    return host;
  }

  /** Room for what the call writes to an array. */
  NDArray out(NDArray array) {
    if (!staging.concerns(array)) {
      return array;
    }
    if (isBroadcast(array)) {
      // The communicator below refuses it in its own words.
      return room(array.dtype(), Shape.of(1)).reshape(ones(array)).expand(array.shape());
    }
    return land(room(array.dtype(), array.shape()), List.of(hold(array)));
  }

  private static boolean isBroadcast(NDArray array) {
    return IntStream.range(0, array.rank())
        .anyMatch(dim -> array.stride(dim) == 0 && array.dim(dim) > 1);
  }

  private static Shape ones(NDArray array) {
    return Shape.of(LongStream.generate(() -> 1).limit(array.rank()).toArray());
  }

  /** The copy of an array that the call reads and writes. */
  NDArray both(NDArray array) {
    boolean moves = staging.concerns(array) && !isBroadcast(array);
    return moves ? land(in(array), List.of(hold(array))) : out(array);
  }

  List<NDArray> in(List<NDArray> arrays) {
    return arrays.stream().map(this::in).toList();
  }

  List<NDArray> out(List<NDArray> arrays) {
    return arrays.stream().map(this::out).toList();
  }

  /** A message of the same elements in main memory, packed. */
  Message message(Message message) {
    if (!staging.concerns(message.array())) {
      return message;
    }
    NDArray host = room(message.dtype(), Shape.of(message.elementCount()));
    List<NDArray> pieces = pieces(message);
    if (message.isSend()) {
      long start = 0;
      for (NDArray piece : pieces) {
        read(piece, host, start);
        start += piece.size();
      }
      return Message.send(message.peer(), host);
    }
    if (isBroadcast(message.array())) {
      return Message.receive(message.peer(), out(message.array()));
    }
    pieces.forEach(this::hold);
    return Message.receive(message.peer(), land(host, pieces));
  }

  /** The views of a message's array that its elements are in, in order. */
  private static List<NDArray> pieces(Message message) {
    long[] bounds = message.rowBounds();
    if (bounds == null) {
      return List.of(message.array());
    }
    long end = message.firstColumn() + message.columnCount();
    NDArray columns = message.array().slice(1, message.firstColumn(), end);
    List<NDArray> pieces = new ArrayList<>();
    for (int i = 0; i < bounds.length; i += 2) {
      pieces.add(columns.slice(0, bounds[i], bounds[i + 1]));
    }
    return pieces;
  }

  @SuppressWarnings("try") // the scope is there to be open
  private NDArray room(DType dtype, Shape shape) {
    try (MemoryScope scope = MemoryScope.open()) {
      return hold(NDArray.empty(staging.memory, dtype, shape));
    }
  }

  /** Keeps an array's memory whatever becomes of its scope. */
  private NDArray hold(NDArray array) {
    array.retain();
    held.add(array);
    return array;
  }

  private NDArray land(NDArray host, List<NDArray> targets) {
    landings.add(new Landing(host, targets));
    return host;
  }

  private static void read(NDArray array, NDArray host, long start) {
    long width = array.dtype().byteSize();
    array.readBytes(
        host.segment().asSlice(host.byteOffset() + start * width, array.size() * width));
  }

  // ---- the call

  /** Makes the call; what it holds goes with {@link #await()}, or at once if it is refused. */
  Handle post(Supplier<Handle> call) {
    try {
      inner = call.get();
    } catch (RuntimeException refused) {
      letGo();
      throw refused;
    }
    if (held.isEmpty()) {
      return inner;
    }
    // Saved values that are to be overwritten are changed from now on.
    landings.forEach(landing -> landing.targets.forEach(target -> target.block().touch()));
    staging.opened(this);
    return this;
  }

  @Override
  public void await() {
    if (failure != null) {
      throw failure;
    }
    if (done) {
      return;
    }
    try {
      inner.await();
      landings.forEach(StagedCall::writeBack);
    } catch (RuntimeException thrown) {
      failure = thrown;
      throw thrown;
    } finally {
      letGo();
    }
  }

  @Override
  public boolean isDone() {
    if (done) {
      await();
      return true;
    }
    try {
      if (!inner.isDone()) {
        return false;
      }
    } catch (RuntimeException thrown) {
      failure = thrown;
      letGo();
      throw thrown;
    }
    await();
    return true;
  }

  @SuppressWarnings("try") // the scope is there to be open
  private static void writeBack(Landing landing) {
    NDArray host = landing.host;
    long start = 0;
    for (NDArray target : landing.targets) {
      long width = target.dtype().byteSize();
      var source = host.segment().asSlice(host.byteOffset() + start * width, target.size() * width);
      start += target.size();
      if (target.isContiguous()) {
        target.writeBytes(source);
        continue;
      }
      try (MemoryScope scope = MemoryScope.open()) {
        NDArray packed = NDArray.empty(target.device(), target.dtype(), target.shape());
        packed.writeBytes(source);
        target.device().kernels(target.dtype()).copy(packed, target);
      }
    }
  }

  /** Gives back what it holds. */
  void letGo() {
    done = true;
    staging.closed(this);
    held.forEach(NDArray::release);
    held.clear();
    landings.clear();
  }
}
