package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationMismatchException;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CheckedCommunicator;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A rank's access to a group of GPUs: arrays of its GPU go over NCCL, everything else over the
 * control communicator of the same group.
 */
final class NcclCommunicator extends CheckedCommunicator {
  private static final Handle DONE =
      new Handle() {
        @Override
        public void await() {}

        @Override
        public boolean isDone() {
          return true;
        }
      };

  /** One end of a message of this rank to itself. */
  private record OwnEnd(NcclOperation operation, Message message) {}

  private final NcclRank me;
  private final Communicator control;

  /** Null for a group of one, which needs no NCCL. */
  private final @Nullable NcclGroup group;

  private final ArrayDeque<OwnEnd> own = new ArrayDeque<>();
  private long nextOperation;
  private long nextExchange;

  private NcclCommunicator(
      GroupIdentity identity, Communicator control, NcclRank me, @Nullable NcclGroup group) {
    super(identity, me.globalRank, me.totals);
    this.control = control;
    this.me = me;
    this.group = group;
  }

  /** Meets the other members of the group that {@code control} is, who all call this. */
  static NcclCommunicator meet(Communicator control, NcclRank me) {
    GroupIdentity identity = new GroupIdentity(control.name(), control.globalRanks());
    NcclCommunicator known = me.communicators.get(identity);
    if (known != null) {
      return known;
    }
    NcclGroup group = control.size() == 1 ? null : NcclGroup.meet(identity, control, me);
    if (group != null) {
      me.add(group);
    }
    NcclCommunicator made = new NcclCommunicator(identity, control, me, group);
    me.communicators.put(identity, made);
    return made;
  }

  CudaDevice device() {
    return me.device;
  }

  void ended(NcclOperation operation) {
    me.ended(operation);
  }

  /** An operation's calls are compared before the host waits for the device. */
  void expect(Handle comparison) {
    NcclGroup members = group;
    if (members != null) {
      me.expect(members, comparison);
    }
  }

  /** What is recorded into a graph was compared when it ran before, and moves nothing now. */
  private boolean isCapturing() {
    return me.device.stream().isCapturing();
  }

  void checkUse() {
    me.checkThread();
  }

  @Override
  protected void checkThread() {
    me.checkThread();
  }

  @Override
  protected boolean reaches(Device device) {
    return device == me.device || device instanceof CpuDevice;
  }

  void refuseIfFailed() {
    NcclGroup members = group;
    if (members != null) {
      members.checkNative();
    }
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    me.checkThread();
    GroupIdentity part = identity().subgroup(name, globalRanks);
    return globalRanks.contains(me.globalRank)
        ? Optional.of(meet(control.subgroup(name, part.globalRanks()).orElseThrow(), me))
        : Optional.empty();
  }

  // ---- the end

  @Override
  public void requireUsable() {
    me.checkThread();
    control.requireUsable();
    refuseIfFailed();
  }

  @Override
  public void abort(Throwable cause) {
    me.checkThread();
    // Told on the control communicator first, so that other ranks name this one as the reason.
    control.abort(cause);
    String text = "stopped because rank " + me.globalRank + " failed: " + cause;
    me.fail(new Failure(Failure.Kind.STOPPED, text, cause));
    me.releaseOpen();
  }

  // ---- collectives

  @Override
  protected Handle post(CollectiveArguments call, long sentBytes, long receivedBytes) {
    if (!isOnGpu(call)) {
      return postOnControl(call);
    }
    NcclOperation operation = new NcclOperation(this, call, nextOperation++);
    me.posted(operation);
    NcclGroup members = group;
    if (members == null) {
      checkSizesAlone(call, operation);
      operation.retain();
      new CollectiveLaunch(operation, 1, 0).runAlone();
      return operation;
    }
    try {
      members.checkNative();
      members.board.post(operation, call, rank());
      if (!isCapturing()) {
        me.lookAtComparisons();
        operation.comparedBy(members.compare(call));
      }
    } catch (CommunicationException failure) {
      operation.end(NcclOperation.State.FAILED);
      members.abort();
      throw failure;
    }
    operation.retain();
    launch(
        members,
        operation,
        () ->
            new CollectiveLaunch(operation, size(), rank())
                .run(members.collectives, members.timeoutNanos(me)));
    return operation;
  }

  private static void launch(NcclGroup members, NcclOperation operation, Runnable launch) {
    try {
      launch.run();
    } catch (RuntimeException failure) {
      // Some of the calls may have been made: the other members would wait for the rest.
      CommunicationException told =
          members.fail(
              new Failure(
                  Failure.Kind.BROKEN,
                  operation.describe() + " in " + operation.where() + " failed: " + failure,
                  failure));
      operation.end(NcclOperation.State.FAILED);
      throw told;
    }
  }

  private boolean isOnGpu(CollectiveArguments call) {
    Device first = null;
    if (call.array() != null) {
      first = same(first, call, call.array());
    }
    for (int i = 0; i < call.sources().size(); i++) {
      first = same(first, call, call.sources().get(i));
    }
    for (int i = 0; i < call.destinations().size(); i++) {
      first = same(first, call, call.destinations().get(i));
    }
    return first == me.device;
  }

  private Device same(@Nullable Device first, CollectiveArguments call, NDArray array) {
    if (first != null && (first == me.device) != (array.device() == me.device)) {
      throw new IllegalArgumentException(
          call.describe()
              + " in "
              + identity().describe()
              + ": got arrays of "
              + first.name()
              + " and of "
              + array.device().name()
              + "; all arrays of a call are on one device");
    }
    return array.device();
  }

  private void checkSizesAlone(CollectiveArguments call, NcclOperation operation) {
    long sent = CollectiveArguments.sentElements(call, 0, 0);
    long wanted = CollectiveArguments.wantedElements(call, 0, 0);
    if (call.hasParts() && sent != wanted) {
      String who = "rank " + globalRank(0) + " " + call.describe();
      throw new CommunicationMismatchException(
          identity().describe()
              + ", operation "
              + operation.sequence()
              + CollectiveArguments.differentSizes(who, sent, globalRank(0), wanted, who));
    }
  }

  /** Host values, arrays in main memory, and arrays without bytes. */
  private Handle postOnControl(CollectiveArguments call) {
    refuseIfFailed();
    return switch (call.kind()) {
      case ALL_REDUCE -> control.allReduce(call.theArray(), call.theOp());
      case REDUCE -> control.reduce(call.theArray(), call.theOp(), call.root());
      case BROADCAST -> control.broadcast(call.theArray(), call.root());
      case ALL_GATHER -> control.allGather(call.theArray(), call.destinations());
      case GATHER -> control.gather(call.theArray(), call.destinations(), call.root());
      case SCATTER -> control.scatter(call.sources(), call.theArray(), call.root());
      case REDUCE_SCATTER -> control.reduceScatter(call.sources(), call.theArray(), call.theOp());
      case ALL_TO_ALL -> control.allToAll(call.sources(), call.destinations());
      case BARRIER -> {
        control.barrier();
        yield DONE;
      }
      case HOST_ALL_REDUCE -> {
        if (call.doubles() != null) {
          control.allReduce(call.doubles(), call.theOp());
        } else {
          control.allReduce(Objects.requireNonNull(call.longs()), call.theOp());
        }
        yield DONE;
      }
      case HOST_ALL_GATHER, EXCHANGE ->
          throw new IllegalStateException(call.kind().label() + " is posted elsewhere");
    };
  }

  @Override
  protected long[][] gather(CollectiveArguments call, long sentBytes, long receivedBytes) {
    refuseIfFailed();
    return control.allGather(Objects.requireNonNull(call.longs()));
  }

  // ---- messages

  @Override
  protected Handle postExchange(List<Message> messages) {
    List<Message> onGpu = new ArrayList<>(messages.size());
    List<Message> elsewhere = new ArrayList<>(0);
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      (message.array().device() == me.device ? onGpu : elsewhere).add(message);
    }
    if (onGpu.isEmpty()) {
      refuseIfFailed();
      return control.exchange(elsewhere);
    }
    NcclOperation operation = new NcclOperation(this, onGpu, nextExchange++);
    me.posted(operation);
    NcclGroup members = group;
    if (members == null) {
      operation.retain();
      onGpu.forEach(message -> postOwn(operation, message));
    } else {
      postOnGpu(operation, onGpu, members);
    }
    if (!elsewhere.isEmpty()) {
      operation.hostPart(control.exchange(elsewhere));
    }
    return operation;
  }

  private void postOnGpu(NcclOperation operation, List<Message> messages, NcclGroup members) {
    try {
      members.checkNative();
      for (int i = 0; i < messages.size(); i++) {
        Message message = messages.get(i);
        GroupBoard.End end = message.peer() == rank() ? null : members.board.post(rank(), message);
        if (end != null) {
          operation.ends().add(end);
        }
      }
      if (!isCapturing()) {
        me.lookAtComparisons();
        operation.comparedBy(members.compare(messages));
      }
    } catch (CommunicationException failure) {
      operation.end(NcclOperation.State.FAILED);
      members.abort();
      throw failure;
    }
    operation.retain();
    launch(
        members,
        operation,
        () -> {
          ExchangeLaunch launch = new ExchangeLaunch(operation, members, rank());
          for (int i = 0; i < messages.size(); i++) {
            Message message = messages.get(i);
            if (message.peer() == rank()) {
              postOwn(operation, message);
            } else {
              launch.add(message);
            }
          }
          launch.launch(members.timeoutNanos(me));
        });
  }

  /** A message of this rank to itself is copied when both ends are posted. */
  private void postOwn(NcclOperation operation, Message message) {
    OwnEnd other = own.peekFirst();
    if (other == null || other.message.isSend() == message.isSend()) {
      own.addLast(new OwnEnd(operation, message));
      operation.waitsForOwn();
      return;
    }
    own.removeFirst();
    other.operation.metOwn();
    Message send = message.isSend() ? message : other.message;
    Message receive = message.isSend() ? other.message : message;
    if (send.dtype() != receive.dtype() || send.elementCount() != receive.elementCount()) {
      throw new CommunicationMismatchException(
          "exchange in %s: a message of rank %d to itself does not fit: sent %s x %d (of %s), received as %s x %d (of %s)"
              .formatted(
                  identity().describe(),
                  me.globalRank,
                  send.dtype(),
                  send.elementCount(),
                  send.array(),
                  receive.dtype(),
                  receive.elementCount(),
                  receive.array()));
    }
    if (send.elementCount() > 0) {
      new Packing(operation).own(send, receive);
    }
  }
}
