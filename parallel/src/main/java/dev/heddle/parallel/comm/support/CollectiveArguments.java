package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one member calls a collective with. Does not change but for the numbers in the Java arrays,
 * so other threads may read and describe it.
 *
 * @param kind which collective
 * @param op the reduction, or null
 * @param root the root's member number, or -1
 * @param array the array, or this member's part, or null
 * @param sources what goes to each member, or empty
 * @param destinations what comes from each member, or empty
 * @param doubles numbers on the Java heap, or null
 * @param longs numbers on the Java heap, or null
 */
public record CollectiveArguments(
    CommunicationKind kind,
    @Nullable ReduceOp op,
    int root,
    @Nullable NDArray array,
    List<NDArray> sources,
    List<NDArray> destinations,
    double @Nullable [] doubles,
    long @Nullable [] longs) {

  /** A call with arrays. */
  static CollectiveArguments ofArrays(
      CommunicationKind kind,
      @Nullable ReduceOp op,
      int root,
      @Nullable NDArray array,
      List<NDArray> sources,
      List<NDArray> destinations) {
    return new CollectiveArguments(kind, op, root, array, sources, destinations, null, null);
  }

  /** A call with numbers on the Java heap, or with nothing. */
  static CollectiveArguments ofHostValues(
      CommunicationKind kind,
      @Nullable ReduceOp op,
      double @Nullable [] doubles,
      long @Nullable [] longs) {
    return new CollectiveArguments(kind, op, -1, null, List.of(), List.of(), doubles, longs);
  }

  /** The array that this kind of call has. */
  public NDArray theArray() {
    if (array == null) {
      throw new IllegalStateException(kind.label() + " has no array");
    }
    return array;
  }

  /** The reduction that this kind of call has. */
  public ReduceOp theOp() {
    if (op == null) {
      throw new IllegalStateException(kind.label() + " has no reduction");
    }
    return op;
  }

  /** The dtype of the arrays; null where there are none. */
  public @Nullable DType dtype() {
    if (array != null) {
      return array.dtype();
    }
    return sources.isEmpty() ? null : sources.get(0).dtype();
  }

  /** Whether there are bytes to move: not on a device that knows shapes only. */
  public boolean hasBytes() {
    if (array != null) {
      return array.device().hasBytes();
    }
    return sources.isEmpty() || sources.get(0).device().hasBytes();
  }

  // ---- whether calls of different members fit

  private boolean hasSameShapeEverywhere() {
    return switch (kind) {
      case ALL_REDUCE, REDUCE, BROADCAST -> true;
      default -> false;
    };
  }

  /** Whether the parts of different members have sizes of their own that must fit. */
  public boolean hasParts() {
    return switch (kind) {
      case ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, GATHER, SCATTER -> true;
      default -> false;
    };
  }

  private int doubleCount() {
    return doubles == null ? -1 : doubles.length;
  }

  private int longCount() {
    return longs == null ? -1 : longs.length;
  }

  /** Whether the two are the same collective, but for the sizes of parts. */
  public boolean isAlike(CollectiveArguments other) {
    return kind == other.kind
        && op == other.op
        && root == other.root
        && dtype() == other.dtype()
        && hasBytes() == other.hasBytes()
        && (!hasSameShapeEverywhere() || theArray().shape().equals(other.theArray().shape()))
        && (kind == CommunicationKind.HOST_ALL_GATHER
            || (doubleCount() == other.doubleCount() && longCount() == other.longCount()));
  }

  /** The same number for calls that are alike, another one for others (but for one in 2^64). */
  public long signature() {
    DType dtype = dtype();
    long hash = mix(kind.ordinal() + 1);
    hash = mix(hash ^ (op == null ? -1 : op.ordinal()));
    hash = mix(hash ^ root);
    hash = mix(hash ^ (dtype == null ? -1 : dtype.ordinal()));
    hash = mix(hash ^ (hasBytes() ? 1 : 0));
    if (hasSameShapeEverywhere()) {
      NDArray shaped = theArray();
      hash = mix(hash ^ shaped.rank());
      for (int dim = 0; dim < shaped.rank(); dim++) {
        hash = mix(hash ^ shaped.dim(dim));
      }
    }
    if (kind != CommunicationKind.HOST_ALL_GATHER) {
      hash = mix(hash ^ doubleCount());
      hash = mix(hash ^ longCount());
    }
    return hash;
  }

  // The finalizer of SplittableRandom, which spreads any difference over all bits.
  private static long mix(long value) {
    long z = value + 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /**
   * How many elements {@code sender}, member {@code from}, has for member {@code to}; -1 if none go
   * there.
   */
  public static long sentElements(CollectiveArguments sender, int from, int to) {
    return switch (sender.kind) {
      case ALL_GATHER -> sender.theArray().size();
      case REDUCE_SCATTER, ALL_TO_ALL -> sender.sources.get(to).size();
      case GATHER -> to == sender.root ? sender.theArray().size() : -1;
      case SCATTER -> from == sender.root ? sender.sources.get(to).size() : -1;
      default -> -1;
    };
  }

  /**
   * How many elements {@code receiver}, member {@code to}, wants from member {@code from}; -1 if
   * none come from there.
   */
  public static long wantedElements(CollectiveArguments receiver, int from, int to) {
    return switch (receiver.kind) {
      case ALL_GATHER, ALL_TO_ALL -> receiver.destinations.get(from).size();
      case REDUCE_SCATTER -> receiver.theArray().size();
      case GATHER -> to == receiver.root ? receiver.destinations.get(from).size() : -1;
      case SCATTER -> from == receiver.root ? receiver.theArray().size() : -1;
      default -> -1;
    };
  }

  // ---- the two messages about calls that do not fit

  /** Says that two ranks called different collectives. */
  public static String differentCalls(String one, String other) {
    return ": ranks called different collectives: "
        + one
        + ", "
        + other
        + "; all ranks of a group must call the same collectives, with the same dtype, shape,"
        + " reduction and root, in the same order";
  }

  /** Says that a part does not fit; {@code sender} and {@code receiver} name rank and call. */
  public static String differentSizes(
      String sender, long sent, int receiverRank, long wanted, String receiver) {
    return ": sizes do not fit: "
        + sender
        + " has "
        + sent
        + " elements for rank "
        + receiverRank
        + ", which wants "
        + wanted
        + " from it: "
        + receiver;
  }

  // ---- memory

  /** Keeps the arrays' memory until {@link #release}, whatever becomes of their scopes. */
  public void retain() {
    if (array != null) {
      array.retain();
    }
    for (int i = 0; i < sources.size(); i++) {
      sources.get(i).retain();
    }
    for (int i = 0; i < destinations.size(); i++) {
      destinations.get(i).retain();
    }
  }

  /** Undoes {@link #retain}. */
  public void release() {
    if (array != null) {
      array.release();
    }
    for (int i = 0; i < sources.size(); i++) {
      sources.get(i).release();
    }
    for (int i = 0; i < destinations.size(); i++) {
      destinations.get(i).release();
    }
  }

  // ---- in words

  /** What was called, such as {@code allReduce F32[12] SUM}. */
  public String describe() {
    StringBuilder text = new StringBuilder(kind.label());
    if (array != null) {
      text.append(' ').append(array.dtype()).append(array.shape());
    } else if (!sources.isEmpty()) {
      text.append(' ').append(sources.get(0).dtype());
    }
    if (!sources.isEmpty()) {
      appendShapes(text, " from ", sources);
    }
    if (!destinations.isEmpty()) {
      appendShapes(text, " to ", destinations);
    }
    if (doubles != null) {
      text.append(" of ").append(doubles.length).append(" doubles");
    }
    if (longs != null) {
      text.append(" of ").append(longs.length).append(" longs");
    }
    if (op != null) {
      text.append(' ').append(op);
    }
    if (root >= 0) {
      text.append(" root ").append(root);
    }
    return text.toString();
  }

  private static void appendShapes(StringBuilder text, String word, List<NDArray> arrays) {
    text.append(word);
    for (int i = 0; i < arrays.size(); i++) {
      text.append(i == 0 ? "" : "+").append(arrays.get(i).shape());
    }
  }
}
