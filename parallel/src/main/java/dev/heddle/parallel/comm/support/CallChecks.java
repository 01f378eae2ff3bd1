package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Refuses calls that make no sense on one rank, before they are posted. */
final class CallChecks {
  private CallChecks() {}

  // ---- one rank's arguments

  private static String where(GroupIdentity group, CommunicationKind kind) {
    return kind.label() + " in " + group.describe();
  }

  /** Checks that the communicator can reach the array's memory. */
  static void reachable(
      GroupIdentity group, CommunicationKind kind, NDArray array, Predicate<Device> reach) {
    if (array.device().hasBytes() && !reach.test(array.device())) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got "
              + array
              + " on "
              + array.device().name()
              + "; ranks on processors exchange arrays in main memory, so copy"
              + " the array to a CpuDevice or use a communicator for that device");
    }
  }

  static void reducible(GroupIdentity group, CommunicationKind kind, NDArray array) {
    if (array.dtype() == DType.U8) {
      throw new IllegalArgumentException(
          where(group, kind)
              + ": got "
              + array
              + "; F32, F64, BF16, I32 and I64 can be reduced, so cast it");
    }
  }

  static void writable(GroupIdentity group, CommunicationKind kind, NDArray array) {
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

  static void root(GroupIdentity group, CommunicationKind kind, int root, int size) {
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
      GroupIdentity group,
      CommunicationKind kind,
      List<NDArray> parts,
      int size,
      @Nullable DType dtype,
      Predicate<Device> reach) {
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
      reachable(group, kind, part, reach);
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
}
