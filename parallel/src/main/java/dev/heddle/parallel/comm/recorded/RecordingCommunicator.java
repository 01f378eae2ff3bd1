package dev.heddle.parallel.comm.recorded;

import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.WorkRecorder;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A communicator that does what another does, and while a recording is open has it done again at
 * every repetition, on the same memory. So do the subgroups made through it.
 *
 * <p>Numbers of the host cannot be communicated within a recording: they would be those of the
 * recorded run for ever.
 */
public final class RecordingCommunicator implements Communicator {
  private final Communicator delegate;
  private final Supplier<@Nullable WorkRecorder> recorder;
  private final Map<Communicator, RecordingCommunicator> known;

  /**
   * Records what is communicated through it and its subgroups.
   *
   * @param recorder the recording that is open, or null
   */
  public RecordingCommunicator(Communicator world, Supplier<@Nullable WorkRecorder> recorder) {
    this(world, recorder, new IdentityHashMap<>());
  }

  private RecordingCommunicator(
      Communicator delegate,
      Supplier<@Nullable WorkRecorder> recorder,
      Map<Communicator, RecordingCommunicator> known) {
    this.delegate = delegate;
    this.recorder = recorder;
    this.known = known;
  }

  /** The communicator that does the work. */
  public Communicator delegate() {
    return delegate;
  }

  // ---- the group

  @Override
  public String name() {
    return delegate.name();
  }

  @Override
  public int rank() {
    return delegate.rank();
  }

  @Override
  public int size() {
    return delegate.size();
  }

  @Override
  public int globalRank(int member) {
    return delegate.globalRank(member);
  }

  @Override
  public List<Integer> globalRanks() {
    return delegate.globalRanks();
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    return delegate
        .subgroup(name, globalRanks)
        .map(
            group ->
                known.computeIfAbsent(
                    group, key -> new RecordingCommunicator(key, recorder, known)));
  }

  // ---- what is recorded

  /** Calls {@code call} now, and again at each repetition. */
  private Handle post(Supplier<Handle> call) {
    WorkRecorder open = recorder.get();
    if (open == null) {
      return call.get();
    }
    Again handle = new Again(call, open);
    open.host(handle::post);
    return handle;
  }

  /** The handle of the latest of a call's repetitions. */
  private static final class Again implements Handle {
    private final Supplier<Handle> call;
    private final WorkRecorder open;
    private @Nullable Handle latest;

    private Again(Supplier<Handle> call, WorkRecorder open) {
      this.call = call;
      this.open = open;
    }

    private void post() {
      latest = call.get();
    }

    private Handle latest() {
      Handle posted = latest;
      if (posted == null) {
        throw new IllegalStateException("a recorded call was waited for before it was made");
      }
      return posted;
    }

    @Override
    public void await() {
      open.host(() -> latest().await());
    }

    @Override
    public boolean isDone() {
      return latest().isDone();
    }
  }

  private static List<NDArray> ofNow(List<NDArray> arrays) {
    return arrays.stream().map(NDArray::ofNow).toList();
  }

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    return post(() -> delegate.allReduce(array.ofNow(), op));
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    return post(() -> delegate.reduce(array.ofNow(), op, root));
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    return post(() -> delegate.broadcast(array.ofNow(), root));
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    return post(() -> delegate.allGather(part.ofNow(), ofNow(wholes)));
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    return post(() -> delegate.gather(part.ofNow(), ofNow(wholes), root));
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    return post(() -> delegate.scatter(ofNow(wholes), part.ofNow(), root));
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    return post(() -> delegate.reduceScatter(ofNow(wholes), part.ofNow(), op));
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    return post(() -> delegate.allToAll(ofNow(sources), ofNow(destinations)));
  }

  @Override
  public Handle exchange(List<Message> messages) {
    return post(() -> delegate.exchange(messages.stream().map(Message::ofNow).toList()));
  }

  // ---- what cannot be

  private void refuse(String what) {
    if (recorder.get() != null) {
      throw new IllegalStateException(
          what
              + " in group "
              + name()
              + " while a step is recorded: numbers of the host would stay those of this step;"
              + " communicate an array of the device, or run without recording (without --graph)");
    }
  }

  @Override
  public void barrier() {
    refuse("barrier");
    delegate.barrier();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    refuse("all-reduce of a number");
    return delegate.allReduce(value, op);
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    refuse("all-reduce of numbers");
    delegate.allReduce(values, op);
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    refuse("all-reduce of a number");
    return delegate.allReduce(value, op);
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    refuse("all-reduce of numbers");
    delegate.allReduce(values, op);
  }

  @Override
  public long[][] allGather(long[] values) {
    refuse("all-gather of numbers");
    return delegate.allGather(values);
  }

  // ---- the end, and counting

  @Override
  public void abort(Throwable cause) {
    delegate.abort(cause);
  }

  @Override
  public CommunicationStatistics statistics() {
    return delegate.statistics();
  }

  @Override
  public CommunicationStatistics totalStatistics() {
    return delegate.totalStatistics();
  }
}
