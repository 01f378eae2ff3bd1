package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Reducer;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.parallel.comm.support.Slices;
import dev.heddle.runtime.NDArray;

/**
 * The bytes of a collective: what unit {@code member} of each kind does. Unit m writes the result
 * of member m, except for all-reduce, reduce and broadcast, where it does slice m of the elements
 * for everybody.
 */
final class CollectiveWork {
  private CollectiveWork() {}

  static void run(CollectiveOperation operation, int member, int size, LocalRank worker) {
    CollectiveArguments own = operation.arguments(member);
    if (!own.hasBytes()) {
      return;
    }
    switch (own.kind()) {
      case ALL_REDUCE -> reduceSlice(operation, member, size, worker, -1);
      case REDUCE -> reduceSlice(operation, member, size, worker, own.root());
      case BROADCAST -> broadcastSlice(operation, member, size, worker);
      case REDUCE_SCATTER -> reducePart(operation, member, size, worker);
      case ALL_GATHER -> {
        for (int from = 0; from < size; from++) {
          copy(operation.arguments(from).theArray(), own.destinations().get(from), worker);
        }
      }
      case GATHER ->
          copy(own.theArray(), operation.arguments(own.root()).destinations().get(member), worker);
      case SCATTER ->
          copy(operation.arguments(own.root()).sources().get(member), own.theArray(), worker);
      case ALL_TO_ALL -> {
        for (int from = 0; from < size; from++) {
          NDArray source = operation.arguments(from).sources().get(member);
          copy(source, own.destinations().get(from), worker);
        }
      }
      case HOST_ALL_REDUCE -> {
        if (member == 0) {
          reduceHostValues(operation, size);
        }
      }
      case HOST_ALL_GATHER -> gatherHostValues(operation, member, size);
      case BARRIER, EXCHANGE -> {
        // A barrier moves nothing; an exchange is no collective.
      }
    }
  }

  private static void copy(NDArray source, NDArray destination, LocalRank worker) {
    RunCursor from = worker.sources[0];
    RunCursor to = worker.destinations[0];
    from.start(source);
    to.start(destination);
    RunCursor.copy(from, to, source.size());
  }

  private static void reduceSlice(
      CollectiveOperation operation, int slice, int size, LocalRank worker, int onlyRoot) {
    CollectiveArguments own = operation.arguments(slice);
    long start = Slices.start(own.theArray(), slice, size);
    long count = Slices.start(own.theArray(), slice + 1, size) - start;
    if (count == 0) {
      return;
    }
    int destinationCount = 0;
    for (int i = 0; i < size; i++) {
      NDArray array = operation.arguments(i).theArray();
      worker.sources[i].start(array);
      worker.sources[i].seek(start);
      if (onlyRoot < 0 || onlyRoot == i) {
        worker.destinations[destinationCount].start(array);
        worker.destinations[destinationCount++].seek(start);
      }
    }
    worker.reducer.reduce(
        worker.sources,
        size,
        worker.destinations,
        destinationCount,
        count,
        own.theArray().dtype(),
        own.theOp());
  }

  private static void reducePart(
      CollectiveOperation operation, int member, int size, LocalRank worker) {
    CollectiveArguments own = operation.arguments(member);
    for (int i = 0; i < size; i++) {
      worker.sources[i].start(operation.arguments(i).sources().get(member));
    }
    worker.destinations[0].start(own.theArray());
    worker.reducer.reduce(
        worker.sources,
        size,
        worker.destinations,
        1,
        own.theArray().size(),
        own.theArray().dtype(),
        own.theOp());
  }

  private static void broadcastSlice(
      CollectiveOperation operation, int slice, int size, LocalRank worker) {
    int root = operation.arguments(slice).root();
    NDArray source = operation.arguments(root).theArray();
    long start = Slices.start(source, slice, size);
    long count = Slices.start(source, slice + 1, size) - start;
    if (count == 0) {
      return;
    }
    for (int i = 0; i < size; i++) {
      if (i != root) {
        worker.sources[0].start(source);
        worker.sources[0].seek(start);
        worker.destinations[0].start(operation.arguments(i).theArray());
        worker.destinations[0].seek(start);
        RunCursor.copy(worker.sources[0], worker.destinations[0], count);
      }
    }
  }

  private static void reduceHostValues(CollectiveOperation operation, int size) {
    CollectiveArguments first = operation.arguments(0);
    ReduceOp op = first.theOp();
    double[] doubles = first.doubles();
    long[] longs = first.longs();
    for (int i = 1; i < size; i++) {
      double[] moreDoubles = operation.arguments(i).doubles();
      for (int j = 0; doubles != null && moreDoubles != null && j < doubles.length; j++) {
        doubles[j] = Reducer.combine(doubles[j], moreDoubles[j], op);
      }
      long[] moreLongs = operation.arguments(i).longs();
      for (int j = 0; longs != null && moreLongs != null && j < longs.length; j++) {
        longs[j] = Reducer.combine(longs[j], moreLongs[j], op);
      }
    }
    for (int i = 1; i < size; i++) {
      double[] moreDoubles = operation.arguments(i).doubles();
      if (doubles != null && moreDoubles != null) {
        System.arraycopy(doubles, 0, moreDoubles, 0, doubles.length);
      }
      long[] moreLongs = operation.arguments(i).longs();
      if (longs != null && moreLongs != null) {
        System.arraycopy(longs, 0, moreLongs, 0, longs.length);
      }
    }
  }

  private static void gatherHostValues(CollectiveOperation operation, int member, int size) {
    long[][] gathered = new long[size][];
    for (int i = 0; i < size; i++) {
      long[] values = operation.arguments(i).longs();
      gathered[i] = values == null ? new long[0] : values.clone();
    }
    operation.call(member).gathered = gathered;
  }
}
