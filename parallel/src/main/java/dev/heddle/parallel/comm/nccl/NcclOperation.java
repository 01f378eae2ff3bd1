package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.PostedCall;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import org.jspecify.annotations.Nullable;

/**
 * An operation on the GPU and its handle. {@link #await} does not wait on the host: it makes the
 * device's stream wait for the operation's end and unpacks there, so that whatever the device does
 * next sees the results.
 *
 * <p>The arrays and scratch memory are retained until then. Afterwards they may go back to the
 * device's pool at once, although the GPU may not have got that far: the pool's memory is used in
 * the order of the device's stream, and that waits for the end first.
 */
final class NcclOperation implements PostedCall {
  private static final int SHOWN = 8;

  private final NcclCommunicator communicator;
  private final @Nullable CollectiveArguments arguments;
  private final List<Message> messages;
  private final long sequence;
  private final List<NativeCommunicator.Mark> marks = new ArrayList<>(2);
  private final List<Runnable> unpacking = new ArrayList<>(2);
  private final List<NDArray> scratch = new ArrayList<>(2);

  /** The ends of messages whose peers are in this process. */
  private final List<GroupBoard.End> ends = new ArrayList<>(0);

  private @Nullable Handle hostPart;
  private @Nullable Handle comparison;
  private int openOwn;
  private boolean retained;
  private volatile State state = State.POSTED;

  NcclOperation(NcclCommunicator communicator, CollectiveArguments arguments, long sequence) {
    this.communicator = communicator;
    this.arguments = arguments;
    this.messages = List.of();
    this.sequence = sequence;
  }

  NcclOperation(NcclCommunicator communicator, List<Message> messages, long sequence) {
    this.communicator = communicator;
    this.arguments = null;
    this.messages = messages;
    this.sequence = sequence;
  }

  // ---- being posted

  CudaDevice device() {
    return communicator.device();
  }

  boolean isExchange() {
    return arguments == null;
  }

  CollectiveArguments arguments() {
    if (arguments == null) {
      throw new IllegalStateException("an exchange is no collective");
    }
    return arguments;
  }

  long sequence() {
    return sequence;
  }

  List<GroupBoard.End> ends() {
    return ends;
  }

  /** Keeps the memory of all arrays from here to the end. */
  void retain() {
    retained = true;
    if (arguments != null) {
      arguments.retain();
    }
    for (int i = 0; i < messages.size(); i++) {
      messages.get(i).array().retain();
    }
  }

  /** Memory of the device's pool that is the operation's until its end. */
  @SuppressWarnings("try") // the scope gives the array up, which stays retained
  NDArray scratch(DType dtype, long... dims) {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray array = NDArray.empty(device(), dtype, dims).retain();
      scratch.add(array);
      return array;
    }
  }

  /** Adds work on a communication stream that the operation ends with. */
  void add(NativeCommunicator.Mark mark) {
    marks.add(mark);
  }

  /** Adds work for the device's stream at the end. */
  void whenDone(Runnable unpack) {
    unpacking.add(unpack);
  }

  /** Adds messages of arrays in main memory. */
  void hostPart(Handle handle) {
    hostPart = handle;
  }

  /** Adds the comparison with what members in other processes call; null for none. */
  void comparedBy(@Nullable Handle handle) {
    comparison = handle;
  }

  /** One more message to this rank itself whose other end is to come. */
  void waitsForOwn() {
    openOwn++;
  }

  void metOwn() {
    openOwn--;
  }

  // ---- the handle

  @Override
  public void await() {
    communicator.checkUse();
    if (state != State.POSTED) {
      return;
    }
    try {
      communicator.refuseIfFailed();
      if (hostPart != null) {
        hostPart.await();
      }
      if (openOwn > 0) {
        throw new CommunicationException(
            describe()
                + " in "
                + where()
                + " cannot complete: "
                + openOwn
                + " message(s) of this rank to itself have no other end, and only this rank could"
                + " post it",
            null);
      }
    } catch (RuntimeException failure) {
      end(State.FAILED);
      throw failure;
    }
    end(State.COMPLETED);
  }

  @Override
  public boolean isDone() {
    communicator.checkUse();
    if (state != State.POSTED) {
      return true;
    }
    try {
      communicator.refuseIfFailed();
      if (openOwn > 0 || (hostPart != null && !hostPart.isDone())) {
        return false;
      }
      for (int i = 0; i < marks.size(); i++) {
        if (!marks.get(i).isDone()) {
          return false;
        }
      }
    } catch (RuntimeException failure) {
      end(State.FAILED);
      throw failure;
    }
    end(State.COMPLETED);
    return true;
  }

  /** Lets the device wait, unpacks after success, and gives up the memory. */
  void end(State how) {
    state = how;
    communicator.ended(this);
    Handle unfinished = comparison;
    if (unfinished != null && how == State.COMPLETED) {
      communicator.expect(unfinished);
    }
    try {
      for (NativeCommunicator.Mark mark : marks) {
        // Also after a failure: aborted kernels may write until they have ended.
        device().stream().waitFor(mark.event);
        mark.rest();
      }
      if (how == State.COMPLETED) {
        unpacking.forEach(Runnable::run);
      }
    } finally {
      marks.clear();
      unpacking.clear();
      scratch.forEach(NDArray::release);
      scratch.clear();
      release();
    }
  }

  private void release() {
    if (!retained) {
      return;
    }
    retained = false;
    if (arguments != null) {
      arguments.release();
    }
    for (int i = 0; i < messages.size(); i++) {
      messages.get(i).array().release();
    }
  }

  // ---- in words

  @Override
  public State state() {
    return state;
  }

  @Override
  public String where() {
    return communicator.identity().describe()
        + (arguments == null ? ", exchange " : ", operation ")
        + sequence;
  }

  @Override
  public String describe() {
    if (arguments != null) {
      return arguments.describe();
    }
    StringJoiner text = new StringJoiner(", ", "exchange [", "]");
    for (int i = 0; i < Math.min(SHOWN, messages.size()); i++) {
      text.add(messages.get(i).toString());
    }
    if (messages.size() > SHOWN) {
      text.add((messages.size() - SHOWN) + " more");
    }
    return text.toString();
  }
}
