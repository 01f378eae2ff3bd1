package dev.heddle.parallel.comm.recorded;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.support.ForwardingCommunicator;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.WorkRecorder;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A communicator that does what another does, and while a recording is open has it done again at
 * every repetition, on the same memory. So do the subgroups made through it.
 *
 * <p>Numbers of the host cannot be communicated within a recording: they would be those of the
 * recorded run for ever.
 */
public final class RecordingCommunicator extends ForwardingCommunicator {
  private final Supplier<@Nullable WorkRecorder> recorder;

  /**
   * Records what is communicated through it and its subgroups.
   *
   * @param recorder the recording that is open, or null
   */
  public RecordingCommunicator(Communicator world, Supplier<@Nullable WorkRecorder> recorder) {
    super(world);
    this.recorder = recorder;
  }

  private RecordingCommunicator(Communicator group, RecordingCommunicator parent) {
    super(group, parent);
    this.recorder = parent.recorder;
  }

  @Override
  protected Communicator before(Communicator group) {
    return new RecordingCommunicator(group, this);
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
    return post(() -> target().allReduce(array.ofNow(), op));
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    return post(() -> target().reduce(array.ofNow(), op, root));
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    return post(() -> target().broadcast(array.ofNow(), root));
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    return post(() -> target().allGather(part.ofNow(), ofNow(wholes)));
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    return post(() -> target().gather(part.ofNow(), ofNow(wholes), root));
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    return post(() -> target().scatter(ofNow(wholes), part.ofNow(), root));
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    return post(() -> target().reduceScatter(ofNow(wholes), part.ofNow(), op));
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    return post(() -> target().allToAll(ofNow(sources), ofNow(destinations)));
  }

  @Override
  public Handle exchange(List<Message> messages) {
    return post(() -> target().exchange(messages.stream().map(Message::ofNow).toList()));
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
    target().barrier();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    refuse("all-reduce of a number");
    return target().allReduce(value, op);
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    refuse("all-reduce of numbers");
    target().allReduce(values, op);
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    refuse("all-reduce of a number");
    return target().allReduce(value, op);
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    refuse("all-reduce of numbers");
    target().allReduce(values, op);
  }

  @Override
  public long[][] allGather(long[] values) {
    refuse("all-gather of numbers");
    return target().allGather(values);
  }
}
