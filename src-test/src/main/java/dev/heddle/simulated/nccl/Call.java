package dev.heddle.simulated.nccl;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A call that moves data, with its arguments.
 *
 * @param kind which function
 * @param from device address that is read, or 0
 * @param to device address that is written, or 0
 * @param count elements: of the whole for an all-reduce, of one part where there are parts
 * @param op the reduction, or null
 * @param peer the other rank of a message, or the root, or -1
 */
record Call(
    Kind kind,
    long from,
    long to,
    long count,
    ElementKind type,
    @Nullable ReductionKind op,
    int peer) {

  /** The functions. */
  enum Kind {
    ALL_REDUCE("ncclAllReduce"),
    REDUCE("ncclReduce"),
    BROADCAST("ncclBroadcast"),
    ALL_GATHER("ncclAllGather"),
    REDUCE_SCATTER("ncclReduceScatter"),
    SEND("ncclSend"),
    RECEIVE("ncclRecv");

    final String function;

    Kind(String function) {
      this.function = function;
    }
  }

  boolean isMessage() {
    return kind == Kind.SEND || kind == Kind.RECEIVE;
  }

  long bytes() {
    return count * type.byteSize;
  }

  /** Bytes that are read of this rank, in a communicator of that many. */
  long bytesRead(int size) {
    return kind == Kind.REDUCE_SCATTER ? size * bytes() : bytes();
  }

  /** Bytes that are written of this rank. */
  long bytesWritten(int size) {
    return kind == Kind.ALL_GATHER ? size * bytes() : bytes();
  }

  /** Whether members who call this and {@code other} mean the same collective. */
  boolean fits(Call other) {
    return kind == other.kind
        && count == other.count
        && type == other.type
        && op == other.op
        && peer == other.peer;
  }

  /** Such as {@code ncclReduce of 12 float32 sum root 0}. */
  @Override
  public String toString() {
    String text = kind.function + " of " + count + " " + lower(type);
    if (op != null) {
      text += " " + lower(op);
    }
    return switch (kind) {
      case SEND -> text + " to rank " + peer;
      case RECEIVE -> text + " from rank " + peer;
      case REDUCE, BROADCAST -> text + " root " + peer;
      default -> text;
    };
  }

  private static String lower(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }
}
