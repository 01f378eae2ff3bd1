package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Refuses calls that make no sense on one rank, and finds calls of different ranks that do not fit
 * together, before any byte is moved.
 */
final class CallChecks {
  private CallChecks() {}

  // ---- one rank's arguments

  private static String where(LocalGroup group, CommunicationKind kind) {
    return kind.label() + " in " + group.describe();
  }

  /** Checks that threads can reach the array's memory. */
  static void reachable(LocalGroup group, CommunicationKind kind, NDArray array) {
    if (array.device().hasBytes() && !(array.device() instanceof CpuDevice)) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got "
              + array
              + "; threads of one JVM exchange arrays in main memory, so copy"
              + " the array to a CpuDevice or use a communicator for that device");
    }
  }

  static void reducible(LocalGroup group, CommunicationKind kind, NDArray array) {
    if (array.dtype() == DType.U8) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got "
              + array
              + "; F32, F64, BF16, I32 and I64 can be reduced, so cast it");
    }
  }

  static void writable(LocalGroup group, CommunicationKind kind, NDArray array) {
    for (int dim = 0; dim < array.rank() && array.size() > 0; dim++) {
      if (array.stride(dim) == 0 && array.dim(dim) > 1) {
        throw new IllegalArgumentException(
            where(group, kind)
                + ": got "
                + array
                + ", whose dim "
                + dim
                + " is broadcast; results need an"
                + " array with an element for each index");
      }
    }
  }

  static void root(LocalGroup group, CommunicationKind kind, int root, int size) {
    if (root < 0 || root >= size) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got root "
              + root
              + ", wanted a member number from 0 to "
              + (size - 1));
    }
  }

  /** Checks a list of one array for each member, all of one dtype. */
  static void parts(
      LocalGroup group,
      CommunicationKind kind,
      List<NDArray> parts,
      int size,
      @Nullable DType dtype) {
    if (parts.size() != size) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got "
              + parts.size()
              + " arrays, wanted one for each of "
              + size
              + " members; a member that has nothing gets an empty array");
    }
    for (int i = 0; i < parts.size(); i++) {
      NDArray part = parts.get(i);
      reachable(group, kind, part);
      if (dtype != null && part.dtype() != dtype) {
        throw new IllegalArgumentException(
            where(group, kind)
                + ": got "
                + part
                + " for member "
                + i
                + " beside arrays of "
                + dtype
                + "; all arrays of a call have one dtype");
      }
    }
  }

  // ---- the calls of all ranks

  /** Says how the call does not fit those that came before; null when it does. */
  static @Nullable String mismatch(
      CollectiveOperation operation, int member, CollectiveCall call, int size) {
    for (int i = 0; i < size; i++) {
      CollectiveCall other = operation.calls[i];
      if (other == null) {
        continue;
      }
      if (alike(other, call)) {
        break;
      }
      return ": ranks called different collectives: "
          + who(other, i)
          + ", "
          + who(call, member)
          + "; all ranks of a group must call the same collectives, with the same dtype, shape,"
          + " reduction and root, in the same order";
    }
    if (!hasParts(call.kind) || !operation.awaitsOneCall()) {
      return null;
    }
    for (int to = 0; to < size; to++) {
      for (int from = 0; from < size; from++) {
        CollectiveCall sender = from == member ? call : operation.call(from);
        CollectiveCall receiver = to == member ? call : operation.call(to);
        String mismatch = partMismatch(sender, from, receiver, to);
        if (mismatch != null) {
          return mismatch;
        }
      }
    }
    return null;
  }

  private static String who(CollectiveCall call, int member) {
    return "rank " + call.globalRank(member) + " " + call.describe();
  }

  private static boolean alike(CollectiveCall a, CollectiveCall b) {
    return a.kind == b.kind
        && a.op == b.op
        && a.root == b.root
        && a.dtype() == b.dtype()
        && a.hasBytes() == b.hasBytes()
        && (!sameShape(a.kind) || a.array().shape().equals(b.array().shape()))
        && (a.kind == CommunicationKind.HOST_ALL_GATHER || sameHostValues(a, b));
  }

  private static boolean sameShape(CommunicationKind kind) {
    return switch (kind) {
      case ALL_REDUCE, REDUCE, BROADCAST -> true;
      default -> false;
    };
  }

  private static boolean hasParts(CommunicationKind kind) {
    return switch (kind) {
      case ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, GATHER, SCATTER -> true;
      default -> false;
    };
  }

  private static boolean sameHostValues(CollectiveCall a, CollectiveCall b) {
    int doublesA = a.doubles == null ? -1 : a.doubles.length;
    int doublesB = b.doubles == null ? -1 : b.doubles.length;
    int longsA = a.longs == null ? -1 : a.longs.length;
    int longsB = b.longs == null ? -1 : b.longs.length;
    return doublesA == doublesB && longsA == longsB;
  }

  /** What {@code from} has for {@code to} must have the size that {@code to} expects from it. */
  private static @Nullable String partMismatch(
      CollectiveCall sender, int from, CollectiveCall receiver, int to) {
    NDArray sent;
    NDArray wanted;
    switch (sender.kind) {
      case ALL_GATHER -> {
        sent = sender.array();
        wanted = receiver.destinations.get(from);
      }
      case REDUCE_SCATTER -> {
        sent = sender.sources.get(to);
        wanted = receiver.array();
      }
      case ALL_TO_ALL -> {
        sent = sender.sources.get(to);
        wanted = receiver.destinations.get(from);
      }
      case GATHER -> {
        if (to != sender.root) {
          return null;
        }
        sent = sender.array();
        wanted = receiver.destinations.get(from);
      }
      case SCATTER -> {
        if (from != sender.root) {
          return null;
        }
        sent = sender.sources.get(to);
        wanted = receiver.array();
      }
      default -> {
        return null;
      }
    }
    if (sent.size() == wanted.size()) {
      return null;
    }
    return ": sizes do not fit: "
        + who(sender, from)
        + " has "
        + sent.size()
        + " elements for rank "
        + sender.globalRank(to)
        + ", which wants "
        + wanted.size()
        + " from it: "
        + who(receiver, to);
  }
}
